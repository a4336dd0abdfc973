// Package console is what the command lines of this project have in common: signals, exit codes, the flags of all
// commands, where the project is. It knows no command.
package console
