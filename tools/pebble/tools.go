//go:build tools

// Package tools pins Pebble: a certificate authority that speaks ACME, which the tests renew certificates at. It is no part of
// the main module: it would move versions that the product is built with.
package tools

import _ "github.com/letsencrypt/pebble/v2/cmd/pebble"
