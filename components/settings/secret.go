package settings

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// Secret is a value that must not be seen: printed by any verb it reads
// "[secret]".
type Secret string

// String hides the value.
func (Secret) String() string { return "[secret]" }

// GoString hides the value.
func (Secret) GoString() string { return "[secret]" }

// MarshalText hides the value.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Reveal returns the value, for a client that needs it in clear. It must not
// go into a resource: use [Secret.Output].
func (s Secret) Reveal() string { return string(s) }

// Output is the value for a resource, encrypted in the state.
func (s Secret) Output() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.String(string(s))).(pulumi.StringOutput)
}

// placeholder stands for a value that only Pulumi can read: its own reader of
// stack files puts it there.
const placeholder = "[secret]"

// Hidden tells whether the value is the placeholder for one that only Pulumi can
// read: it is there, and nothing can be said about it.
func (s Secret) Hidden() bool { return s == placeholder }

// Unknown stands for a secret that only a later update knows; see [Source.Offline].
const Unknown = placeholder

// StandInCookie is what [Settings.StandInSecrets] gives as the Erlang cookie.
const StandInCookie Secret = "aSecretThatStandsInForTheCookie"

// StandInSecrets gives the stack's own secrets that nobody has opened, or that are not there, a text of the form that
// they must have: for a graph that is only looked at.
func (s *Settings) StandInSecrets() {
	for _, secret := range []struct {
		value *Secret
		text  Secret
	}{
		{&s.Secrets.ErlangCookie, StandInCookie},
		{&s.Secrets.DashboardPassword, "a-password-that-stands-in"},
		{&s.Secrets.APIKey, "a-key-that-stands-in"},
		{&s.Secrets.APISecret, "a-secret-that-stands-in"},
		{&s.Secrets.StatsPassword, "a-password-that-stands-in"},
		{&s.Secrets.GatePassword, "a-password-that-stands-in"},
	} {
		if *secret.value == "" || secret.value.Hidden() {
			*secret.value = secret.text
		}
	}
}
