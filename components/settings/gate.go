package settings

import "github.com/emqx-oci/emqx-oci/components/certs"

// GateAuthority signs the certificates that the round trip shows where clients are asked for
// one, and no other name's. It follows from two secrets that only the stack has together:
// the nodes know the cookie, and of the password a hash.
func (s *Settings) GateAuthority() (certs.Authority, error) {
	secret := s.Secrets.ErlangCookie.Reveal() + "\x00" + s.Secrets.GatePassword.Reveal()
	return certs.NewAuthority(secret, GateUser+" of "+s.Environment, GateUser)
}
