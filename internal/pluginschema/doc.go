// Package pluginschema reads the part of a Pulumi package schema that tests compare: names, types, what is required,
// secret or replaces. What the official nomad and consul packages say of the resources and functions that the project
// has is part of the tree (folder official), so that a test needs no other file. It knows no table and no SDK.
package pluginschema
