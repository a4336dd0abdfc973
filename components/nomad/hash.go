package nomad

import "crypto/rand"

// NewHash is the hash of a password as EMQX's built-in database keeps it, with a salt of its own: another one each time.
func NewHash(password string) (string, error) {
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", err
	}
	return bcryptHash(password, salt, bcryptRounds)
}
