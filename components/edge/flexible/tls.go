package flexible

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/loadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// TLS is what the balancer ends that of its clients with.
type TLS struct {
	// Certificate with its chain, in PEM, and PrivateKey of it.
	Certificate, PrivateKey string
	// Profile is Mozilla's configuration, [cluster.ProfileIntermediate] or
	// [cluster.ProfileModern].
	Profile string
}

// ciphers13 and ciphers12 are what Mozilla's profiles, version 5.7, and OCI's list of
// ciphers (CreateSslCipherSuiteDetails.ciphers) have in common: all but ChaCha20 for TLS 1.2.
var (
	ciphers13 = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	ciphers12 = []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384",
	}
)

// profile is what OCI is told of a profile.
func profile(name string) (protocols, ciphers []string) {
	if name == cluster.ProfileModern {
		return []string{"TLSv1.3"}, ciphers13
	}
	return []string{"TLSv1.2", "TLSv1.3"}, slices.Concat(ciphers13, ciphers12)
}

// addTLS registers the certificate and the cipher suite. OCI changes neither, and refuses
// to delete one that a listener has (409). Their names follow from what they are: another
// one is made before the listeners move to it, and the old one is deleted after that.
func (b *LoadBalancer) addTLS(ctx *pulumi.Context, name string, t *TLS) error {
	certificate, err := loadbalancer.NewCertificate(ctx, name+"-certificate", &loadbalancer.CertificateArgs{
		LoadBalancerId:    b.ID,
		CertificateName:   pulumi.String("emqx-" + digest(t.Certificate, t.PrivateKey)),
		PublicCertificate: pulumi.ToSecret(pulumi.String(t.Certificate)).(pulumi.StringOutput).ToStringPtrOutput(),
		PrivateKey:        pulumi.ToSecret(pulumi.String(t.PrivateKey)).(pulumi.StringOutput).ToStringPtrOutput(),
	}, pulumi.Parent(b), pulumi.AdditionalSecretOutputs([]string{"privateKey", "publicCertificate"}))
	if err != nil {
		return fmt.Errorf("creating the balancer's certificate: %w", err)
	}
	protocols, ciphers := profile(t.Profile)
	suite, err := loadbalancer.NewSslCipherSuite(ctx, name+"-ciphers", &loadbalancer.SslCipherSuiteArgs{
		LoadBalancerId: b.ID,
		Name:           pulumi.String("emqx-" + digest(ciphers...)),
		Ciphers:        pulumi.ToStringArray(ciphers),
	}, pulumi.Parent(b))
	if err != nil {
		return fmt.Errorf("creating the balancer's cipher suite: %w", err)
	}
	b.tls = &loadbalancer.ListenerSslConfigurationArgs{
		CertificateName: certificate.CertificateName,
		CipherSuiteName: suite.Name,
		Protocols:       pulumi.ToStringArray(protocols),
		// As the profiles have it: the client knows what is fast on it.
		ServerOrderPreference: pulumi.String("DISABLED"),
		VerifyPeerCertificate: pulumi.Bool(false),
		HasSessionResumption:  pulumi.Bool(true),
	}
	return nil
}

func (t *TLS) validate(f *fault.List) {
	f.Require("tls.certificate", t.Certificate)
	f.Require("tls.privateKey", t.PrivateKey)
	if !slices.Contains(cluster.Profiles, t.Profile) {
		f.Add("tls.profile", "must be %s, got %q", strings.Join(cluster.Profiles, " or "), t.Profile)
	}
}
