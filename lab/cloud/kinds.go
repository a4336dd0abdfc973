package cloud

import "context"

// Resource tokens, as pulumi-oci spells them.
const (
	typeVolume           = "oci:Core/volume:Volume"
	typeBackupAssignment = "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment" //nolint:gosec // a resource type, no credential
	typePrivateIP        = "oci:Core/privateIp:PrivateIp"
	typeConfiguration    = "oci:Core/instanceConfiguration:InstanceConfiguration"
	typePool             = "oci:Core/instancePool:InstancePool"
	typeGroup            = "oci:Core/networkSecurityGroup:NetworkSecurityGroup"
	typeRule             = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
	typeBalancer         = "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer"
	typeBackendSet       = "oci:NetworkLoadBalancer/backendSet:BackendSet"
	typeBackend          = "oci:NetworkLoadBalancer/backend:Backend"
	typeListener         = "oci:NetworkLoadBalancer/listener:Listener"
	typeRrset            = "oci:Dns/rrset:Rrset"
)

// kind is what the cloud knows about one token. The functions that take a state
// run under the cloud's lock and must not block; the others run outside it.
type kind struct {
	noun     string // as in the OCID
	starting string // lifecycle state until it is usable
	ready    string // and then

	// id makes the identifier of what has no OCID of its own; nil: an OCID.
	id func(r *resource) string
	// check refuses what OCI refuses. old is nil at creation, id empty.
	check func(s *state, id string, in, old Props) error
	// record fills in what the cloud decides at creation.
	record func(s *state, r *resource) error
	// take applies an update; nil: the new inputs replace the old ones.
	take func(s *state, r *resource, in Props)
	// realize makes it so on the machine, after creation and after each update;
	// idempotent, since it is repeated after a crash.
	realize func(ctx context.Context, c *Cloud, id string) error
	// held refuses a deletion.
	held func(s *state, r *resource) error
	// dismantle undoes realize; idempotent.
	dismantle func(ctx context.Context, c *Cloud, id string) error
	// gone takes away what goes with it.
	gone func(s *state, r *resource)
	// balancer names the load balancer that is UPDATING meanwhile.
	balancer func(r *resource) string
	// view is the resource's full properties.
	view func(s *state, r *resource) Props
}

// kinds is filled by init because views refer to each other's tokens.
var kinds map[string]kind

func init() {
	kinds = map[string]kind{
		typeVolume:           volumeKind,
		typeBackupAssignment: backupAssignmentKind,
		typePrivateIP:        privateIPKind,
		typeConfiguration:    configurationKind,
		typePool:             poolKind,
		typeGroup:            groupKind,
		typeRule:             ruleKind,
		typeBalancer:         balancerKind,
		typeBackendSet:       backendSetKind,
		typeBackend:          backendKind,
		typeListener:         listenerKind,
		typeRrset:            rrsetKind,
	}
}
