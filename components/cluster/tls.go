package cluster

// Mozilla's recommended configurations of TLS, version 5.7.
const (
	// ProfileIntermediate is TLS 1.2 and 1.3.
	ProfileIntermediate = "intermediate"
	// ProfileModern is TLS 1.3 alone.
	ProfileModern = "modern"
)

// Profiles are those that whoever ends TLS knows.
var Profiles = []string{ProfileIntermediate, ProfileModern}

// A certificate that comes from outside the stack is in a Nomad variable beside the one of the stack's secrets: that of the
// group in the job that ends TLS, which this job alone may read.
const (
	// ItemCertificate is the server's certificate with its chain, ItemPrivateKey its key, both as PEM.
	ItemCertificate = "certificate"
	ItemPrivateKey  = "private_key"
)

// CertificateVariable is the path of that variable.
func CertificateVariable(job, group string) string { return "nomad/jobs/" + job + "/" + group }
