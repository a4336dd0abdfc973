// Package certs reads certificates and private keys as people paste them, and says what clients and
// EMQX would have against them, in sentences that go on behind the name of a setting. It knows no setting and no
// clock, and shows nothing of a private key.
//
// What cannot be meant otherwise is put right: line ends, indentation, comments, a byte order mark, the label of a key,
// certificates that are there twice or out of order. Erlang's ssl, which EMQX serves with, was seen to lose the first
// certificate behind a byte order mark, to refuse indented ones, to serve those that are out of order to nobody, and to
// print both keys of a file with two.
package certs
