// Command gen writes what is known of the settings where machines and people
// look for it: components/settings/schema.json, the JSON Schema of a stack file, and
// docs/settings.md. Both come from the tags and the comments of
// components/settings/settings.go. A test holds them against it.
package main
