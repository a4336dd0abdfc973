package cloud

import (
	"errors"
	"fmt"
	"net/http"
)

// ErrNotFound is what Read answers for a resource that does not exist, or no
// longer: the engine drops it from its state then.
var ErrNotFound = errors.New("resource not found")

// Error is a service error in OCI's form.
type Error struct {
	Status  int    // HTTP status
	Code    string // OCI's error code, for example IncorrectState
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%d-%s, %s", e.Status, e.Code, e.Message)
}

// Is makes a 404 of the service count as ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound
}

// notFound hides, as OCI does, whether the thing is missing or only not allowed.
func notFound(id string) *Error {
	return &Error{
		http.StatusNotFound, "NotAuthorizedOrNotFound",
		"Authorization failed or requested resource not found: " + id,
	}
}

func notSimulated(what string) *Error {
	return &Error{http.StatusNotImplemented, "NotImplemented", "the lab does not simulate " + what}
}

func invalid(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, "InvalidParameter", fmt.Sprintf(format, args...)}
}

func incorrectState(format string, args ...any) *Error {
	return &Error{http.StatusConflict, "IncorrectState", fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *Error {
	return &Error{http.StatusConflict, "Conflict", fmt.Sprintf(format, args...)}
}
