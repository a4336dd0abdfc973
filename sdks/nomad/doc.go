// The resources of Nomad's Pulumi provider that emqx-oci uses.
package nomad
