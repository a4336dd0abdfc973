package rest

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oracle/oci-go-sdk/v65/common"
	nlb "github.com/oracle/oci-go-sdk/v65/networkloadbalancer"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// works are the work requests of the balancers' service. They live as long as this
// process; OCI keeps them for a day.
type works struct {
	mu  sync.Mutex
	all map[string]*workRequest
}

type workRequest struct {
	balancer           string
	does               nlb.OperationTypeEnum
	work               *cloud.Work
	accepted, finished time.Time
}

func newWorks() *works { return &works{all: map[string]*workRequest{}} }

// add records a change of a balancer and returns the id by which clients follow it.
func (w *works) add(balancer string, does nlb.OperationTypeEnum, work *cloud.Work) string {
	id := "ocid1.networkloadbalancerworkrequest.oc1." + cloud.Region + "." + strings.ToLower(rand.Text())
	request := &workRequest{balancer: balancer, does: does, work: work, accepted: time.Now()}
	w.mu.Lock()
	w.all[id] = request
	w.mu.Unlock()
	go func() {
		<-work.Done()
		w.mu.Lock()
		defer w.mu.Unlock()
		request.finished = time.Now()
	}()
	return id
}

func (w *works) get(id string) (workRequest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if request, ok := w.all[id]; ok {
		return *request, nil
	}
	return workRequest{}, &cloud.Error{
		Status: http.StatusNotFound, Code: "NotAuthorizedOrNotFound", Message: "Authorization failed or requested resource not found: " + id,
	}
}

// actions of a work request on its balancer, by the beginning of the operation's name.
var actions = map[string]nlb.ActionTypeEnum{
	"CREATE": nlb.ActionTypeCreated, "UPDATE": nlb.ActionTypeUpdated, "DELETE": nlb.ActionTypeDeleted,
}

func (s *service) workRequest(_ context.Context, c call) (answer, error) {
	id := c.PathValue("workRequestId")
	w, err := s.works.get(id)
	if err != nil {
		return answer{}, err
	}
	status, action, percent := nlb.OperationStatusInProgress, nlb.ActionTypeInProgress, float32(0)
	out := nlb.WorkRequest{
		Id: &id, OperationType: w.does, CompartmentId: common.String(cloud.CompartmentID),
		TimeAccepted: &common.SDKTime{Time: w.accepted}, TimeStarted: &common.SDKTime{Time: w.accepted},
	}
	if !w.finished.IsZero() {
		verb, _, _ := strings.Cut(string(w.does), "_")
		status, action, percent = nlb.OperationStatusSucceeded, actions[verb], 100
		if w.work.Err() != nil {
			status = nlb.OperationStatusFailed
		}
		out.TimeFinished = &common.SDKTime{Time: w.finished}
	}
	out.Status, out.PercentComplete = status, &percent
	out.Resources = []nlb.WorkRequestResource{{
		EntityType: common.String("NetworkLoadBalancer"), ActionType: action, Identifier: &w.balancer,
		EntityUri: common.String("/" + balancers + "networkLoadBalancers/" + w.balancer),
	}}
	return answer{body: out}, nil
}

func (s *service) workRequestErrors(_ context.Context, c call) (answer, error) {
	w, err := s.works.get(c.PathValue("workRequestId"))
	if err != nil {
		return answer{}, err
	}
	out := nlb.WorkRequestErrorCollection{Items: []nlb.WorkRequestError{}}
	if !w.finished.IsZero() && w.work.Err() != nil {
		out.Items = append(out.Items, nlb.WorkRequestError{
			Code: common.String("InternalError"), Message: common.String(w.work.Err().Error()), Timestamp: &common.SDKTime{Time: w.finished},
		})
	}
	return answer{body: out}, nil
}
