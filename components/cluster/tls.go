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
