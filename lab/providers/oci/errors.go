package oci

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// explain words a service error as the real provider does: status and code, the
// message, a suggestion, the service and the operation. Other errors pass.
func explain(r *table.Resource, verb string, err error) error {
	var service *cloud.Error
	if !errors.As(err, &service) {
		return err
	}
	name := serviceName(r.Token)
	return &serviceError{
		text: fmt.Sprintf("%d-%s, %s\nSuggestion: %s\nService: %s\nOperation Name: %s%s",
			service.Status, service.Code, service.Message, suggestion(service.Status, name), name, verb, r.Operation()),
		cause: err,
	}
}

type serviceError struct {
	text  string
	cause error
}

func (e *serviceError) Error() string { return e.text }
func (e *serviceError) Unwrap() error { return e.cause }

func suggestion(status int, service string) string {
	switch status {
	case http.StatusBadRequest:
		return "Please update the parameter(s) in the Terraform config as per error message"
	case http.StatusNotFound:
		return "Either the resource has been deleted or service " + service + " need policy to access this resource."
	case http.StatusConflict:
		return "The resource is in a conflicted state. Please retry again or contact support for help with service: " + service
	case http.StatusTooManyRequests:
		return "Too many requests were made in a short time. Please retry later or contact support for help with service: " + service
	default:
		return "The service for this resource encountered an error. Please contact support for help with service: " + service
	}
}

var wordStart = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// serviceName of oci:NetworkLoadBalancer/backendSet:BackendSet is
// "Network Load Balancer Backend Set".
func serviceName(token string) string {
	parts := strings.Split(token, ":")
	module, _, _ := strings.Cut(parts[1], "/")
	words := wordStart.ReplaceAllString(module+" "+parts[len(parts)-1], "$1 $2")
	return words
}
