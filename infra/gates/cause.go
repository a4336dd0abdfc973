package gates

import (
	"errors"
	"net/url"
)

// rootCause drops the request line that net/http puts before the cause: it
// holds the whole URL and hides what happened.
func rootCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
