// Command pulumi-resource-emqx serves [components.Cluster] to programs in TypeScript, Python, YAML and every other
// language of Pulumi, as the package emqx: `pulumi package add` reads its schema and generates the SDK. A program in Go
// needs none of it, and calls [components.NewCluster].
package main
