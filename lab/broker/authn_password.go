package broker

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // one of those that EMQX takes
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // one of those that EMQX takes
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// passwords is password_hash_algorithm of emqx_authn_password_hashing.
type passwords struct {
	name       string
	salt       string // prefix, suffix, disable: where it stands
	rounds     int    // of bcrypt: 5 to 10
	mac        string // of pbkdf2
	iterations int
	length     int // of the key that pbkdf2 derives, in bytes; 0: that of its digest
}

var digests = map[string]func() hash.Hash{
	"md5": md5.New, "sha": sha1.New, "sha256": sha256.New, "sha512": sha512.New,
}

var macs = map[string]func() hash.Hash{
	"sha": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// readPasswords reads the setting; by default it is SHA-256 behind its salt.
func readPasswords(f *fields) passwords {
	p := passwords{name: "sha256", salt: "prefix"}
	in := f.section("password_hash_algorithm")
	if in == nil {
		return p
	}
	p.name = in.oneOf("name", "", "plain", "md5", "sha", "sha256", "sha512", "bcrypt", "pbkdf2")
	switch p.name {
	case "bcrypt":
		// What is out of range is clamped (salt_rounds_converter).
		p.rounds = min(max(in.integer("salt_rounds", 10, 0, many), 5), 10)
	case "pbkdf2":
		p.mac = in.oneOf("mac_fun", "", sortedKeys(macs)...)
		p.iterations = in.integer("iterations", 0, 1, many)
		p.length = in.integer("dk_length", 0, 1, many)
		if in.m["iterations"] == nil {
			in.fault("iterations", "required_field")
		}
	default:
		p.salt = in.oneOf("salt_position", "prefix", "prefix", "suffix", "disable")
	}
	if err := in.done(); err != nil {
		f.faults = append(f.faults, err)
	}
	return p
}

// hash makes a hash with a fresh salt. bcrypt has its salt in its hash.
func (p passwords) hash(password string) (sum, salt string, err error) {
	if p.name == "bcrypt" {
		b, err := bcrypt.GenerateFromPassword([]byte(password), p.rounds)
		return string(b), string(b), err
	}
	if p.name != "plain" && (p.name == "pbkdf2" || p.salt != "disable") {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // never fails since Go 1.24
		salt = hex.EncodeToString(b)
	}
	sum, err = p.sum(password, salt)
	return sum, salt, err
}

func (p passwords) sum(password, salt string) (string, error) {
	if p.name == "pbkdf2" {
		length := p.length
		if length == 0 {
			length = macs[p.mac]().Size()
		}
		b, err := pbkdf2.Key(macs[p.mac], password, []byte(salt), p.iterations, length)
		return hex.EncodeToString(b), err
	}
	switch p.salt {
	case "prefix":
		password = salt + password
	case "suffix":
		password += salt
	}
	if p.name == "plain" {
		return password, nil
	}
	d := digests[p.name]()
	d.Write([]byte(password))
	return hex.EncodeToString(d.Sum(nil)), nil
}

// matches compares without regard to case, as emqx_passwd:check_pass does of all but bcrypt;
// plain passwords are no exception.
func (p passwords) matches(sum, salt, password string) bool {
	if p.name == "bcrypt" {
		return bcrypt.CompareHashAndPassword([]byte(sum), []byte(password)) == nil
	}
	got, err := p.sum(password, salt)
	return err == nil && hmac.Equal([]byte(strings.ToLower(got)), []byte(strings.ToLower(sum)))
}
