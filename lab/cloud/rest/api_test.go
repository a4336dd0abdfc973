package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/oracle/oci-go-sdk/v65/common"
	"github.com/oracle/oci-go-sdk/v65/core"
	nlb "github.com/oracle/oci-go-sdk/v65/networkloadbalancer"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/cloudtest"
	"github.com/emqx-oci/emqx-oci/lab/cloud/rest"
)

func openCloud(t *testing.T, opts cloud.Options) *cloud.Cloud {
	t.Helper()
	c, err := cloud.Open(t.TempDir(), cloudtest.NewMachine(), opts)
	assert.NilError(t, err)
	t.Cleanup(func() { assert.Check(t, c.Close()) })
	return c
}

func isRefused(t *testing.T, err error, status int, code string) {
	t.Helper()
	var service common.ServiceError
	assert.Assert(t, errors.As(err, &service), "%v", err)
	assert.Equal(t, fmt.Sprint(service.GetHTTPStatusCode(), " ", service.GetCode()), fmt.Sprint(status, " ", code), service.GetMessage())
}

func createVolume(ctx context.Context, s *sdk, name string) (core.CreateVolumeResponse, error) {
	details := of[core.CreateVolumeDetails](volumeIn)
	details.DisplayName = &name
	return s.volumes.CreateVolume(ctx, core.CreateVolumeRequest{CreateVolumeDetails: details})
}

// slow is long enough for a test to look on while something is made, and not longer.
var slow = cloud.Options{Latency: cloud.LatencyOCI(0.02)}

func TestChangesAreAnsweredBeforeTheyAreMade(t *testing.T) {
	s, ctx := newAPI(t, openCloud(t, slow)), t.Context()

	made, err := createVolume(ctx, s, "data")
	assert.NilError(t, err)
	assert.Equal(t, made.LifecycleState, core.VolumeLifecycleStateProvisioning)
	state := func() core.VolumeLifecycleStateEnum {
		r, err := s.volumes.GetVolume(ctx, core.GetVolumeRequest{VolumeId: made.Id})
		assert.NilError(t, err)
		return r.LifecycleState
	}
	becomes(t, string(core.VolumeLifecycleStateAvailable), func() string { return string(state()) })

	grown, err := s.volumes.UpdateVolume(ctx, core.UpdateVolumeRequest{
		VolumeId: made.Id, UpdateVolumeDetails: core.UpdateVolumeDetails{SizeInGBs: common.Int64(60)},
	})
	assert.NilError(t, err)
	assert.Equal(t, grown.LifecycleState, core.VolumeLifecycleStateProvisioning)
	_, err = s.volumes.DeleteVolume(ctx, core.DeleteVolumeRequest{VolumeId: made.Id})
	isRefused(t, err, 409, "IncorrectState")
	becomes(t, string(core.VolumeLifecycleStateAvailable), func() string { return string(state()) })

	_, err = s.volumes.DeleteVolume(ctx, core.DeleteVolumeRequest{VolumeId: made.Id})
	assert.NilError(t, err)
	assert.Equal(t, state(), core.VolumeLifecycleStateTerminating)
	becomes(t, string(core.VolumeLifecycleStateTerminated), func() string { return string(state()) })
	_, err = s.volumes.DeleteVolume(ctx, core.DeleteVolumeRequest{VolumeId: made.Id})
	isRefused(t, err, 404, "NotAuthorizedOrNotFound")
}

func becomes(t *testing.T, want string, get func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if last = get(); last == want {
			return
		}
	}
	t.Fatalf("it is %s, and was to become %s within 10 s", last, want)
}

func TestABalancerIsChangedByWorkRequests(t *testing.T) {
	s, ctx := newAPI(t, openCloud(t, slow)), t.Context()
	look := func(id *string) nlb.WorkRequest {
		r, err := s.balancers.GetWorkRequest(ctx, nlb.GetWorkRequestRequest{WorkRequestId: id})
		assert.NilError(t, err)
		return r.WorkRequest
	}
	finished := func(id *string) nlb.WorkRequest {
		becomes(t, string(nlb.OperationStatusSucceeded), func() string { return string(look(id).Status) })
		return look(id)
	}

	made, err := s.balancers.CreateNetworkLoadBalancer(ctx, nlb.CreateNetworkLoadBalancerRequest{
		CreateNetworkLoadBalancerDetails: nlb.CreateNetworkLoadBalancerDetails{
			CompartmentId: common.String(cloud.CompartmentID), DisplayName: common.String("edge"), SubnetId: common.String(cloud.PublicSubnet),
		},
	})
	assert.NilError(t, err)
	assert.Equal(t, made.RawResponse.StatusCode, http.StatusAccepted)
	assert.Equal(t, made.LifecycleState, nlb.LifecycleStateCreating)
	under := look(made.OpcWorkRequestId)
	assert.Equal(t, under.Status, nlb.OperationStatusInProgress)
	assert.Assert(t, under.TimeFinished == nil)
	done := finished(made.OpcWorkRequestId)
	assert.Equal(t, done.OperationType, nlb.OperationTypeCreateNetworkLoadBalancer)
	assert.Equal(t, done.Resources[0].ActionType, nlb.ActionTypeCreated)
	assert.Equal(t, *done.Resources[0].Identifier, *made.Id)
	assert.Assert(t, done.TimeFinished != nil)

	in := of[nlb.CreateBackendSetDetails](setIn)
	in.Backends = []nlb.BackendDetails{{Name: common.String("node-0"), IpAddress: common.String("10.80.1.10"), Port: common.Int(1883)}}
	set, err := s.balancers.CreateBackendSet(ctx, nlb.CreateBackendSetRequest{NetworkLoadBalancerId: made.Id, CreateBackendSetDetails: in})
	assert.NilError(t, err)
	now, err := s.balancers.GetNetworkLoadBalancer(ctx, nlb.GetNetworkLoadBalancerRequest{NetworkLoadBalancerId: made.Id})
	assert.NilError(t, err)
	assert.Equal(t, now.LifecycleState, nlb.LifecycleStateUpdating)
	_, err = s.balancers.CreateListener(ctx, nlb.CreateListenerRequest{NetworkLoadBalancerId: made.Id, CreateListenerDetails: of[nlb.CreateListenerDetails](listenerIn)})
	isRefused(t, err, 409, "Conflict")
	assert.Equal(t, finished(set.OpcWorkRequestId).OperationType, nlb.OperationTypeCreateBackendset)

	// The list of a set's backends replaces those that it has.
	backends := func() []string {
		r, err := s.balancers.ListBackends(ctx, nlb.ListBackendsRequest{NetworkLoadBalancerId: made.Id, BackendSetName: common.String("mqtt")})
		assert.NilError(t, err)
		var names []string
		for _, b := range r.Items {
			names = append(names, fmt.Sprintf("%s %s:%d", *b.Name, *b.IpAddress, *b.Port))
		}
		return names
	}
	assert.DeepEqual(t, backends(), []string{"node-0 10.80.1.10:1883"})
	put := func(backends ...nlb.BackendDetails) (nlb.UpdateBackendSetResponse, error) {
		return s.balancers.UpdateBackendSet(ctx, nlb.UpdateBackendSetRequest{
			NetworkLoadBalancerId: made.Id, BackendSetName: common.String("mqtt"), UpdateBackendSetDetails: nlb.UpdateBackendSetDetails{Backends: backends},
		})
	}
	_, err = put(nlb.BackendDetails{})
	isRefused(t, err, 400, "InvalidParameter")
	_, err = put(nlb.BackendDetails{IpAddress: common.String("10.80.1.10")})
	isRefused(t, err, 400, "MissingParameter")
	assert.ErrorContains(t, err, "backends[0].port is required")
	changed, err := put(nlb.BackendDetails{IpAddress: common.String("10.80.1.11"), Port: common.Int(1884)})
	assert.NilError(t, err)
	finished(changed.OpcWorkRequestId)
	assert.DeepEqual(t, backends(), []string{"10.80.1.11:1884 10.80.1.11:1884"})

	groups, err := s.balancers.UpdateNetworkSecurityGroups(ctx, nlb.UpdateNetworkSecurityGroupsRequest{NetworkLoadBalancerId: made.Id})
	assert.NilError(t, err)
	assert.Equal(t, finished(groups.OpcWorkRequestId).OperationType, nlb.OperationTypeUpdateNsgs)
	failed, err := s.balancers.ListWorkRequestErrors(ctx, nlb.ListWorkRequestErrorsRequest{
		WorkRequestId: groups.OpcWorkRequestId, CompartmentId: common.String(cloud.CompartmentID),
	})
	assert.NilError(t, err)
	assert.Equal(t, len(failed.Items), 0)
}

func TestAChangeMayBeForOneVersionAlone(t *testing.T) {
	s, ctx := newAPI(t, openCloud(t, cloud.Options{})), t.Context()
	made, err := s.network.CreatePrivateIp(ctx, core.CreatePrivateIpRequest{CreatePrivateIpDetails: of[core.CreatePrivateIpDetails](addressIn)})
	assert.NilError(t, err)
	rename := func(name string, etag *string) (core.UpdatePrivateIpResponse, error) {
		return s.network.UpdatePrivateIp(ctx, core.UpdatePrivateIpRequest{
			PrivateIpId: made.Id, IfMatch: etag, UpdatePrivateIpDetails: core.UpdatePrivateIpDetails{DisplayName: &name},
		})
	}
	first, err := rename("first", made.Etag)
	assert.NilError(t, err)
	_, err = rename("second", made.Etag)
	isRefused(t, err, 412, "NoEtagMatch")
	_, err = s.network.DeletePrivateIp(ctx, core.DeletePrivateIpRequest{PrivateIpId: made.Id, IfMatch: made.Etag})
	isRefused(t, err, 412, "NoEtagMatch")
	now, err := s.network.GetPrivateIp(ctx, core.GetPrivateIpRequest{PrivateIpId: made.Id})
	assert.NilError(t, err)
	assert.Equal(t, *now.DisplayName, "first")
	assert.Equal(t, *now.Etag, *first.Etag)
	// The rest of what it was made with stays.
	assert.Equal(t, now.Lifetime, core.PrivateIpLifetimeReserved)
}

func TestANodesAddressIsDetachedWhenThatIsAsked(t *testing.T) {
	c := openCloud(t, cloud.Options{})
	s, ctx := newAPI(t, c), t.Context()
	configuration := of[core.CreateInstanceConfigurationDetails](filled(with(configurationIn, nil), map[string]string{}).(m))
	launch := configuration.InstanceDetails.(core.ComputeInstanceDetails).LaunchDetails
	launch.CreateVnicDetails.NsgIds = nil
	made, err := s.compute.CreateInstanceConfiguration(ctx, core.CreateInstanceConfigurationRequest{CreateInstanceConfiguration: configuration})
	assert.NilError(t, err)
	details := of[core.CreateInstancePoolDetails](poolIn)
	details.InstanceConfigurationId = made.Id
	_, err = s.compute.CreateInstancePool(ctx, core.CreateInstancePoolRequest{CreateInstancePoolDetails: details})
	assert.NilError(t, err)
	becomes(t, "1", func() string { return fmt.Sprint(len(c.Snapshot().Instances)) })
	instance := c.Snapshot().Instances[0].ID
	becomes(t, "RUNNING", func() string { return c.Snapshot().Instances[0].State })
	vnic, _, ok := c.Metadata(instance, "/opc/v2/vnics/0/vnicId")
	assert.Assert(t, ok)

	ip, err := s.network.CreatePrivateIp(ctx, core.CreatePrivateIpRequest{CreatePrivateIpDetails: of[core.CreatePrivateIpDetails](addressIn)})
	assert.NilError(t, err)
	update := func(change core.UpdatePrivateIpDetails) core.PrivateIp {
		r, err := s.network.UpdatePrivateIp(ctx, core.UpdatePrivateIpRequest{PrivateIpId: ip.Id, UpdatePrivateIpDetails: change})
		assert.NilError(t, err)
		return r.PrivateIp
	}
	assert.Equal(t, *update(core.UpdatePrivateIpDetails{VnicId: common.String(string(vnic))}).VnicId, string(vnic))
	// It is the official provider that detaches it with every other change, not OCI.
	assert.Equal(t, update(core.UpdatePrivateIpDetails{DisplayName: common.String("renamed")}).IpState, core.PrivateIpIpStateAssigned)
	free, err := s.network.PrivateIpVnicDetach(ctx, core.PrivateIpVnicDetachRequest{PrivateIpId: ip.Id})
	assert.NilError(t, err)
	assert.Equal(t, free.IpState, core.PrivateIpIpStateAvailable)
	assert.Equal(t, *free.DisplayName, "renamed")
}

func TestLongListsComeInPages(t *testing.T) {
	s, ctx := newAPI(t, openCloud(t, cloud.Options{})), t.Context()
	for n := range 5 {
		_, err := createVolume(ctx, s, fmt.Sprint("v", n))
		assert.NilError(t, err)
	}
	var names []string
	request := core.ListVolumesRequest{CompartmentId: common.String(cloud.CompartmentID), Limit: common.Int(2)}
	for pages := 1; ; pages++ {
		r, err := s.volumes.ListVolumes(ctx, request)
		assert.NilError(t, err)
		for _, v := range r.Items {
			names = append(names, *v.DisplayName)
		}
		if request.Page = r.OpcNextPage; request.Page == nil {
			assert.Equal(t, pages, 3)
			break
		}
	}
	assert.DeepEqual(t, names, []string{"v0", "v1", "v2", "v3", "v4"})
	request.Limit = common.Int(100000)
	_, err := s.volumes.ListVolumes(ctx, request)
	isRefused(t, err, 400, "InvalidParameter")
}

func TestARetryTokenMakesOneResource(t *testing.T) {
	for name, opts := range map[string]cloud.Options{"under way": slow, "made": {}} {
		t.Run(name, func(t *testing.T) {
			c := openCloud(t, opts)
			s := newAPI(t, c)
			request := core.CreateVolumeRequest{CreateVolumeDetails: of[core.CreateVolumeDetails](volumeIn), OpcRetryToken: common.String("once")}
			first, err := s.volumes.CreateVolume(t.Context(), request)
			assert.NilError(t, err)
			again, err := s.volumes.CreateVolume(t.Context(), request)
			assert.NilError(t, err)
			assert.Equal(t, *again.Id, *first.Id)
			assert.Equal(t, len(c.Snapshot().Volumes), 1)
		})
	}
}

func TestRulesAreAddedAllOrNone(t *testing.T) {
	s, ctx := newAPI(t, openCloud(t, cloud.Options{})), t.Context()
	made, err := s.network.CreateNetworkSecurityGroup(ctx, core.CreateNetworkSecurityGroupRequest{
		CreateNetworkSecurityGroupDetails: of[core.CreateNetworkSecurityGroupDetails](groupIn),
	})
	assert.NilError(t, err)
	add := func(rules ...core.AddSecurityRuleDetails) error {
		_, err := s.network.AddNetworkSecurityGroupSecurityRules(ctx, core.AddNetworkSecurityGroupSecurityRulesRequest{
			NetworkSecurityGroupId:                      made.Id,
			AddNetworkSecurityGroupSecurityRulesDetails: core.AddNetworkSecurityGroupSecurityRulesDetails{SecurityRules: rules},
		})
		return err
	}
	count := func() int {
		r, err := s.network.ListNetworkSecurityGroupSecurityRules(ctx, core.ListNetworkSecurityGroupSecurityRulesRequest{
			NetworkSecurityGroupId: made.Id, Limit: common.Int(1000),
		})
		assert.NilError(t, err)
		for _, r := range r.Items {
			assert.Assert(t, len(*r.Id) == 6, *r.Id)
		}
		return len(r.Items)
	}
	good := of[core.AddSecurityRuleDetails](ruleIn)
	bad := good
	bad.Protocol = common.String("TCP")
	isRefused(t, add(good, bad), 400, "InvalidParameter")
	assert.Equal(t, count(), 0)
	isRefused(t, add(), 400, "InvalidParameter")
	var many []core.AddSecurityRuleDetails
	for range 24 {
		many = append(many, good)
	}
	for range 5 {
		assert.NilError(t, add(many...))
	}
	assert.Equal(t, count(), 120)
	isRefused(t, add(good), 400, "LimitExceeded")
}

func TestOnlyTheLabsKeyMaySign(t *testing.T) {
	key, err := rest.NewKey()
	assert.NilError(t, err)
	other, err := rest.NewKey()
	assert.NilError(t, err)
	server := httptest.NewServer(rest.Handler(openCloud(t, cloud.Options{}), key))
	t.Cleanup(server.Close)
	same, err := rest.ParseKey(key.PEM)
	assert.NilError(t, err)
	assert.Equal(t, same.Fingerprint, key.Fingerprint)

	_, err = createVolume(t.Context(), newSDK(t, server.URL, same), "data")
	assert.NilError(t, err)
	// Another's key under the name of the lab's.
	other.Fingerprint = key.Fingerprint
	_, err = createVolume(t.Context(), newSDK(t, server.URL, other), "data")
	isRefused(t, err, 401, "NotAuthenticated")

	config := common.NewRawConfigurationProvider(cloud.TenancyID, rest.UserID, "us-ashburn-1", key.Fingerprint, key.PEM, nil)
	do := func(change func(signed *http.Request)) int {
		body := asJSON(m{"compartmentId": cloud.CompartmentID, "availabilityDomain": "LAB:AD-1"})
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/20160918/volumes", strings.NewReader(body))
		assert.NilError(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		assert.NilError(t, common.DefaultRequestSigner(config).Sign(request))
		change(request)
		response, err := http.DefaultClient.Do(request)
		assert.NilError(t, err)
		assert.NilError(t, response.Body.Close())
		assert.Assert(t, len(response.Header.Get("opc-request-id")) > 0)
		return response.StatusCode
	}
	assert.Equal(t, do(func(*http.Request) {}), http.StatusOK)
	for what, change := range map[string]func(r *http.Request){
		"no signature": func(r *http.Request) { r.Header.Del("Authorization") },
		"another path": func(r *http.Request) { r.URL.Path = "/20160918/privateIps" },
		"another body": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), 2 },
		"another date": func(r *http.Request) { r.Header.Set("Date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)) },
		"an old date":  func(r *http.Request) { sign(t, config, r, time.Now().Add(-6*time.Minute)) },
		"an unsigned body": func(r *http.Request) {
			assert.NilError(t, common.RequestSignerExcludeBody(config).Sign(r))
		},
	} {
		assert.Equal(t, do(change), http.StatusUnauthorized, what)
	}
}

func sign(t *testing.T, config common.ConfigurationProvider, r *http.Request, at time.Time) {
	t.Helper()
	r.Header.Set("Date", at.UTC().Format(http.TimeFormat))
	assert.NilError(t, common.DefaultRequestSigner(config).Sign(r))
}

func TestFaultsOfTheAPIReachItsClients(t *testing.T) {
	c := openCloud(t, cloud.Options{})
	s := newAPI(t, c)
	c.SetTroubles(0, []cloud.APIFault{{Status: 429, Code: "TooManyRequests", Message: "slow down", Match: "CreateVolume oci:", Rate: 1}})
	_, err := createVolume(t.Context(), s, "data")
	isRefused(t, err, 429, "TooManyRequests")
	c.SetTroubles(0, nil)
	_, err = createVolume(t.Context(), s, "data")
	assert.NilError(t, err)
	_, err = s.network.GetVcn(t.Context(), core.GetVcnRequest{VcnId: common.String(cloud.VCNID)})
	isRefused(t, err, 404, "NotFound") // the stack does not ask it
}

func TestTheOfficialProviderIsPointedHere(t *testing.T) {
	key, err := rest.NewKey()
	assert.NilError(t, err)
	server, err := rest.Serve(t.Context(), "127.0.0.1:0", rest.Handler(openCloud(t, cloud.Options{}), key), nil)
	assert.NilError(t, err)
	defer func() { assert.Check(t, server.Close()) }()
	_, err = createVolume(t.Context(), newSDK(t, server.URL(), key), "data")
	assert.NilError(t, err)
	pairs := strings.Split(rest.HostOverrides(server.URL()), ";")
	assert.Equal(t, len(pairs), 7)
	for _, pair := range pairs {
		client, url, ok := strings.Cut(pair, "=")
		assert.Assert(t, ok && strings.HasPrefix(client, "oci_") && url == server.URL(), pair)
	}
}
