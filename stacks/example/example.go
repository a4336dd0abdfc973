// Package example gives a program the configuration of a stack file of this
// tree with made-up secrets, for pictures and tests: no vault is opened and
// nothing in it is worth hiding.
package example

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Secrets are the made-up ones by their path, each of them recognisable.
func Secrets() map[string]string {
	return map[string]string{ //nolint:gosec // made up
		"erlangCookie":      "exampleCookieExampleCookie",
		"dashboardPassword": "example-dashboard-password",
		"apiKey":            "example-api-key",
		"apiSecret":         "example-api-secret",
		"statsPassword":     "example-stats-password",
		"gatePassword":      "example-gate-password",
	}
}

// Options are those of a recording of the stack whose file lies in dir. With
// tls the stack has a certificate for its name.
func Options(dir, stack string, tls bool) (recorder.Options, error) {
	text, err := os.ReadFile(filepath.Join(dir, "Pulumi."+stack+".yaml")) //nolint:gosec // a stack file of the tree, named by a test or a tool
	if err != nil {
		return recorder.Options{}, err
	}
	config, secretKeys, err := settings.ParseStackFile(text)
	if err != nil {
		return recorder.Options{}, err
	}
	if err := put(config, "secrets", Secrets()); err != nil {
		return recorder.Options{}, err
	}
	secretKeys = append(secretKeys, settings.Project+":secrets")
	if tls {
		var names struct{ Name string }
		if err := json.Unmarshal([]byte(config[settings.Project+":dns"]), &names); err != nil {
			return recorder.Options{}, fmt.Errorf("reading the name of stack %q: %w", stack, err)
		}
		certificate, key, err := certificate(names.Name)
		if err != nil {
			return recorder.Options{}, err
		}
		if err := put(config, "tls", map[string]string{"terminate": "broker", "certificate": certificate, "privateKey": key, "ca": certificate}); err != nil {
			return recorder.Options{}, err
		}
		secretKeys = append(secretKeys, settings.Project+":tls")
	}
	return recorder.Options{
		Stack: stack, Config: config, SecretKeys: secretKeys, Call: call(config), Outputs: outputs,
	}, nil
}

func put(config map[string]string, group string, values map[string]string) error {
	body, err := json.Marshal(values)
	config[settings.Project+":"+group] = string(body)
	return err
}

// call answers the lookups of a program with this configuration: whatever it
// names exists, once.
func call(config map[string]string) func(token string, args resource.PropertyMap) (map[string]any, error) {
	return func(token string, args resource.PropertyMap) (map[string]any, error) {
		var network struct{ VCN, PrivateSubnetCIDR string }
		if err := json.Unmarshal([]byte(config[settings.Project+":network"]), &network); err != nil {
			return nil, err
		}
		text := func(key resource.PropertyKey) string {
			if v := args[key]; v.IsString() {
				return v.StringValue()
			}
			return ""
		}
		switch token {
		case "oci:Identity/getAvailabilityDomains:getAvailabilityDomains":
			return domains(), nil
		case "oci:Core/getVcns:getVcns":
			name := text("displayName")
			return map[string]any{"virtualNetworks": []any{map[string]any{"displayName": name, "id": "ocid1.vcn.oc1..named-" + name}}}, nil
		case "oci:Core/getSubnets:getSubnets":
			name := text("displayName")
			return map[string]any{"subnets": []any{subnet(name, "ocid1.subnet.oc1..named-"+name, text("vcnId"), network.PrivateSubnetCIDR)}}, nil
		case "oci:Core/getInstancePools:getInstancePools":
			return map[string]any{"instancePools": []any{}}, nil
		case "oci:Core/getSubnet:getSubnet":
			return subnet("", text("subnetId"), network.VCN, network.PrivateSubnetCIDR), nil
		case "oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies":
			return policies(), nil
		}
		return nil, fmt.Errorf("calling %s: the example has no answer", token)
	}
}

// subnet has the given range or a large one, and is for public addresses when
// its OCID says so.
func subnet(name, id, vcn, cidr string) map[string]any {
	return map[string]any{
		"displayName": name, "id": id, "vcnId": vcn, "cidrBlock": cmp.Or(cidr, "10.0.1.0/24"), "prohibitPublicIpOnVnic": !strings.Contains(id, "public"),
	}
}

func domains() map[string]any {
	var domains []any
	// Not in the order of their names, as OCI may do.
	for _, i := range []int{2, 1, 3} {
		domains = append(domains, map[string]any{
			"compartmentId": "example", "id": fmt.Sprint(i), "name": fmt.Sprintf("EXAMPLE:AD-%d", i),
		})
	}
	return map[string]any{"availabilityDomains": domains}
}

// policies are Oracle's own.
func policies() map[string]any {
	var policies []any
	for _, name := range []string{"gold", "silver", "bronze"} {
		policies = append(policies, map[string]any{"displayName": name, "id": "ocid1.volumebackuppolicy.oc1..aaaaaaaa" + name})
	}
	return map[string]any{"volumeBackupPolicies": policies}
}

// outputs are what the cloud would add.
func outputs(r recorder.Resource) map[string]any {
	switch r.Type {
	case "oci:Core/privateIp:PrivateIp":
		return map[string]any{"ipAddress": "10.0.1." + r.Name[len(r.Name)-1:]}
	case "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer":
		return map[string]any{"ipAddresses": []any{
			map[string]any{"ipAddress": "10.0.0.5", "isPublic": false},
			map[string]any{"ipAddress": "198.51.100.1", "isPublic": true},
		}}
	case "nomad:index/job:Job":
		return map[string]any{"modifyIndex": "1"}
	}
	return nil
}

// certificate is self-signed for name.
func certificate(name string) (certificate, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	encode := func(kind string, body []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: body}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", keyDER), nil
}
