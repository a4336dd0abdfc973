package rest

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/oracle/oci-go-sdk/v65/core"
	nlb "github.com/oracle/oci-go-sdk/v65/networkloadbalancer"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// maxRulesPerCall is how many rules of a group one call may add, update or remove
// (docs.oracle.com, AddNetworkSecurityGroupSecurityRules).
const maxRulesPerCall = 25

func checkCount(n int) error {
	if n < 1 || n > maxRulesPerCall {
		return &cloud.Error{
			Status: http.StatusBadRequest, Code: "InvalidParameter",
			Message: "a call is for 1 to " + strconv.Itoa(maxRulesPerCall) + " rules, got " + strconv.Itoa(n),
		}
	}
	return nil
}

// rules are those of a call's body.
func rules[T any](c call) ([]cloud.Props, error) {
	in, err := body[T](c.content)
	if err != nil {
		return nil, err
	}
	list, _ := in["securityRules"].([]any)
	out := make([]cloud.Props, len(list))
	for n := range list {
		out[n], _ = list[n].(cloud.Props)
		if out[n] == nil {
			out[n] = cloud.Props{}
		}
		out[n]["networkSecurityGroupId"] = c.PathValue("networkSecurityGroupId")
	}
	return out, checkCount(len(out))
}

func shownRules(all []cloud.Props) (answer, error) {
	out := make([]any, len(all))
	for n, p := range all {
		var err error
		if out[n], err = shape[core.SecurityRule](p); err != nil {
			return answer{}, err
		}
	}
	return answer{body: map[string]any{"securityRules": out}}, nil
}

// addRules adds all or none.
func (s *service) addRules(ctx context.Context, c call) (answer, error) {
	all, err := rules[core.AddNetworkSecurityGroupSecurityRulesDetails](c)
	if err != nil {
		return answer{}, err
	}
	var made []cloud.Props
	for _, in := range all {
		_, out, err := s.cloud.Create(ctx, securityRule, in)
		if err != nil {
			for _, p := range made {
				id, _ := p["id"].(string)
				err = errors.Join(err, s.cloud.Delete(ctx, securityRule, id))
			}
			return answer{}, err
		}
		made = append(made, out)
	}
	return shownRules(made)
}

func (s *service) updateRules(ctx context.Context, c call) (answer, error) {
	all, err := rules[core.UpdateNetworkSecurityGroupSecurityRulesDetails](c)
	if err != nil {
		return answer{}, err
	}
	for n, in := range all {
		id, _ := in["id"].(string)
		delete(in, "id")
		if all[n], err = s.cloud.Update(ctx, securityRule, id, in); err != nil {
			return answer{}, err
		}
	}
	return shownRules(all)
}

func (s *service) removeRules(ctx context.Context, c call) (answer, error) {
	in, err := body[core.RemoveNetworkSecurityGroupSecurityRulesDetails](c.content)
	if err != nil {
		return answer{}, err
	}
	ids, _ := in["securityRuleIds"].([]any)
	if err := checkCount(len(ids)); err != nil {
		return answer{}, err
	}
	for _, v := range ids {
		id, _ := v.(string)
		if err := s.remove(ctx, securityRule, id); err != nil {
			return answer{}, err
		}
	}
	return answer{status: http.StatusNoContent}, nil
}

// detachAddress takes a reserved address off the VNIC that has it.
func (s *service) detachAddress(ctx context.Context, c call) (answer, error) {
	out, err := s.cloud.Update(ctx, privateIP, c.PathValue("privateIpId"), cloud.Props{"vnicId": ""})
	if err != nil {
		return answer{}, err
	}
	return s.shown(shape[core.PrivateIp], out)
}

func (s *service) updateGroups(ctx context.Context, c call) (answer, error) {
	in, err := body[nlb.UpdateNetworkSecurityGroupsDetails](c.content)
	if err != nil {
		return answer{}, err
	}
	id := c.PathValue("networkLoadBalancerId")
	work, _, err := s.cloud.StartUpdate(ctx, balancer, id, in)
	if err != nil {
		return answer{}, err
	}
	return s.accepted(answer{}, id, nlb.OperationTypeUpdateNsgs, work), nil
}
