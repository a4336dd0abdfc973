package cloud

import (
	"context"
	"strings"
)

// Resource tokens, as pulumi-oci spells them.
const (
	typeVolume           = "oci:Core/volume:Volume"
	typeBackupAssignment = "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment"
	typePrivateIP        = "oci:Core/privateIp:PrivateIp"
	typeConfiguration    = "oci:Core/instanceConfiguration:InstanceConfiguration"
	typePool             = "oci:Core/instancePool:InstancePool"
	typeGroup            = "oci:Core/networkSecurityGroup:NetworkSecurityGroup"
	typeRule             = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
	typeBalancer         = "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer"
	typeBackendSet       = "oci:NetworkLoadBalancer/backendSet:BackendSet"
	typeBackend          = "oci:NetworkLoadBalancer/backend:Backend"
	// The same thing as typeBackendSet, which the provider writes whole.
	typeUnifiedSet = "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified"
	typeListener   = "oci:NetworkLoadBalancer/listener:Listener"
	typeRrset      = "oci:Dns/rrset:Rrset"

	typeFlexBalancer = "oci:LoadBalancer/loadBalancer:LoadBalancer"
	typeFlexSet      = "oci:LoadBalancer/backendSet:BackendSet"
	typeFlexBackend  = "oci:LoadBalancer/backend:Backend"
	typeFlexListener = "oci:LoadBalancer/listener:Listener"
	typeCertificate  = "oci:LoadBalancer/certificate:Certificate"
	typeCipherSuite  = "oci:LoadBalancer/sslCipherSuite:SslCipherSuite"
)

// kind is what the cloud knows about one token. The functions that take a state
// run under the cloud's lock and must not block; the others run outside it.
type kind struct {
	noun     string // as in the OCID
	starting string // lifecycle state until it is usable
	ready    string // and then
	changing string // while it is updated, where that shows

	// whole says that an update replaces all properties, and not only those it names.
	whole bool
	// id makes the identifier of what has no OCID of its own; nil: an OCID.
	id func(r *resource) string
	// check refuses what OCI refuses. old is nil at creation, id empty.
	check func(s *state, id string, in, old Props) error
	// record fills in what the cloud decides at creation.
	record func(s *state, r *resource) error
	// passing is a property that asks for something and is not kept among the others.
	passing string
	// take draws the consequences of an update, after its inputs are stored.
	take func(s *state, r *resource)
	// placed keeps what belongs to it in the records, after creation and update.
	placed func(s *state, r *resource)
	// realize makes it so on the machine, after creation and after each update;
	// idempotent, since it is repeated after a crash.
	realize func(ctx context.Context, c *Cloud, id string) error
	// held refuses a deletion.
	held func(s *state, r *resource) error
	// dismantle undoes realize; idempotent.
	dismantle func(ctx context.Context, c *Cloud, id string) error
	// onDelete takes away what goes with it.
	onDelete func(s *state, r *resource)
	// deleted says that its service calls DELETED what others call TERMINATED.
	deleted bool
	// balancer names the network load balancer that is UPDATING meanwhile.
	balancer func(r *resource) string
	// view is the resource's full properties.
	view func(s *state, r *resource) Props
}

// spelled is a lifecycle state as the kind's service calls it: a balancer is DELETED
// where others are TERMINATED.
func (k kind) spelled(state string) string {
	if k.balancer != nil || k.deleted {
		return strings.Replace(state, "TERMINAT", "DELET", 1)
	}
	return state
}

// resourceOf is the token under which the cloud keeps what a program names by token.
func resourceOf(token string) string {
	if token == typeUnifiedSet {
		return typeBackendSet
	}
	return token
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
		typeFlexBalancer:     flexBalancerKind,
		typeFlexSet:          flexSetKind,
		typeFlexBackend:      flexBackendKind,
		typeFlexListener:     flexListenerKind,
		typeCertificate:      certificateKind,
		typeCipherSuite:      cipherSuiteKind,
	}
}
