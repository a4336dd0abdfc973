// Package progress turns the engine's event stream into what people and programs read: a live table on a terminal,
// plain lines in a pipe, one JSON object per line for machines, and a preview's difference.
//
// It knows the engine's event format and the names of resource types; it starts nothing and decides nothing.
package progress
