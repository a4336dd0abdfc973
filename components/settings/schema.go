package settings

import _ "embed"

// Schema is the JSON Schema of a stack file, for editors and for checks without
// this program. It is generated (make settings).
//
//go:embed schema.json
var Schema []byte
