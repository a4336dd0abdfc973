package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/oracle/oci-go-sdk/v65/dns"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

const recordsPath = "/{zoneNameOrId}/{domain}/{rtype}"

// recordsID is how the cloud calls the record set that a request is about.
func recordsID(c call) string {
	return "zoneNameOrId/" + c.PathValue("zoneNameOrId") + "/domain/" + c.PathValue("domain") + "/rtype/" + c.PathValue("rtype")
}

func (s *service) shownRecords(c call, p cloud.Props) (answer, error) {
	all, _ := p["items"].([]any)
	items, header, err := page(c.Request, all)
	if err != nil {
		return answer{}, err
	}
	if header == nil {
		header = map[string]string{}
	}
	header["etag"] = s.cloud.ETag(recordsID(c))
	view, err := shape[dns.RrSet](cloud.Props{"items": items})
	return answer{header: header, body: view}, err
}

func (s *service) getRecords(ctx context.Context, c call) (answer, error) {
	out, err := s.cloud.Read(ctx, rrset, recordsID(c))
	if err != nil {
		return answer{}, err
	}
	return s.shownRecords(c, out)
}

// writeRecords makes a record set of what it is to hold, or changes it to that.
func (s *service) writeRecords(ctx context.Context, c call, items []any) (answer, error) {
	in := within(c, recordsPath, cloud.Props{"items": items})
	out, err := s.cloud.Update(ctx, rrset, recordsID(c), in)
	if errors.Is(err, cloud.ErrNotFound) {
		_, out, err = s.cloud.Create(ctx, rrset, in)
	}
	if err != nil {
		return answer{}, err
	}
	return s.shownRecords(c, out)
}

func (s *service) putRecords(ctx context.Context, c call) (answer, error) {
	in, err := body[dns.UpdateRrSetDetails](c.content)
	if err != nil {
		return answer{}, err
	}
	items, _ := in["items"].([]any)
	return s.writeRecords(ctx, c, items)
}

// patchRecords adds records to a set. Of the conditions that the API knows, the lab has
// the one that newer providers send: that there is none yet.
func (s *service) patchRecords(ctx context.Context, c call) (answer, error) {
	in, err := body[dns.PatchRrSetDetails](c.content)
	if err != nil {
		return answer{}, err
	}
	now, err := s.cloud.Read(ctx, rrset, recordsID(c))
	if err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return answer{}, err
	}
	items, _ := now["items"].([]any)
	operations, _ := in["items"].([]any)
	for _, v := range operations {
		record, _ := v.(cloud.Props)
		does := record["operation"]
		delete(record, "operation")
		switch {
		case does == string(dns.RecordOperationOperationAdd):
			items = append(items, record)
		case does != string(dns.RecordOperationOperationProhibit):
			return answer{}, &cloud.Error{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "the lab's record sets are not patched by that operation"}
		case len(items) > 0:
			return answer{}, &cloud.Error{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed", Message: "there are such records"}
		}
	}
	return s.writeRecords(ctx, c, items)
}

func (s *service) deleteRecords(ctx context.Context, c call) (answer, error) {
	return answer{status: http.StatusNoContent}, s.remove(ctx, rrset, recordsID(c))
}
