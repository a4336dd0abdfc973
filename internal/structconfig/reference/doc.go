// Package reference tells people and editors what a struct of package structconfig
// takes: as tables of a Markdown page and as JSON Schema. What it tells comes
// from the tags of the fields, and from their comments in the source.
package reference
