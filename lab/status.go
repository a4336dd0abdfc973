package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/faults"
	"github.com/emqx-oci/emqx-oci/lab/machine"
)

// Status is what the daemon says of itself and of the lab.
type Status struct {
	PID       int            `json:"pid"`
	Name      string         `json:"name"`
	Dir       string         `json:"dir"`
	Door      string         `json:"door"`
	Providers string         `json:"providers"` // the value of PULUMI_DEBUG_PROVIDERS
	API       string         `json:"api"`       // where the cloud answers as OCI's API
	Cloud     cloud.Snapshot `json:"cloud"`
	Guests    []Guest        `json:"guests"`
	// Faults that have not been undone.
	Faults []faults.Active `json:"faults"`
}

// Guest is an instance as this machine sees it.
type Guest struct {
	ID   string `json:"id"`   // OCID
	Name string `json:"name"` // display name
	PID  int    `json:"pid"`  // of its first process; ending it cuts the power
	Logs string `json:"logs"` // folder with the logs of its boot script and units
}

// mqttPorts are those that lead to a balancer, and the usual ones while there is
// none.
func (s Status) mqttPorts() string {
	var words []string
	for _, b := range s.Cloud.Balancers {
		for _, set := range b.Sets {
			for _, port := range set.Ports {
				words = append(words, strconv.Itoa(port))
			}
		}
	}
	if len(words) == 0 {
		for _, port := range machine.MQTTPorts {
			words = append(words, strconv.Itoa(int(port)))
		}
	}
	return strings.Join(words, " ")
}

// write prints a status for people, or for machines.
func (s Status) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	fmt.Fprintf(w, "lab %s is up (process %d, folder %s)\n", s.Name, s.PID, s.Dir)
	fmt.Fprintf(w, "  Nomad   http://%s:4646\n  Consul  http://%s:8500\n  MQTT    %s:%s\n  SOCKS   %s:1080 (dials from the lab's internet)\n  OCI     %s (for its clients: `emqx-oci lab env`)\n",
		s.Door, s.Door, s.Door, s.mqttPorts(), s.Door, s.API)
	names := map[string]string{}
	for _, i := range s.Cloud.Instances {
		names[i.ID] = i.Name
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(s.Cloud.Instances) > 0 {
		fmt.Fprintf(t, "\nINSTANCE\tSTATE\tDOMAIN\tADDRESS\tRESERVED\n")
		for _, i := range s.Cloud.Instances {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", i.Name, i.State, i.AvailabilityDomain, i.Address, strings.Join(i.Reserved, " "))
		}
	}
	if len(s.Cloud.Volumes) > 0 {
		fmt.Fprintf(t, "\nVOLUME\tSTATE\tDOMAIN\tSIZE\tATTACHED TO\n")
		for _, v := range s.Cloud.Volumes {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d GB\t%s\n", v.Name, v.State, v.AvailabilityDomain, v.SizeGB, names[v.Instance])
		}
	}
	if len(s.Cloud.Balancers) > 0 {
		fmt.Fprintf(t, "\nBALANCER\tADDRESS\tBACKEND\tHEALTH\n")
		for _, b := range s.Cloud.Balancers {
			for _, set := range b.Sets {
				for _, be := range set.Backends {
					fmt.Fprintf(t, "%s\t%s\t%s %s:%d\t%s\n", b.Name, b.Public, set.Name, be.Address, be.Port, be.Health)
				}
			}
		}
	}
	if len(s.Cloud.Records) > 0 {
		fmt.Fprintf(t, "\nRECORD\tTYPE\tDATA\tTTL\n")
		for _, r := range s.Cloud.Records {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d s\n", r.Name, r.Type, r.Data, r.TTL)
		}
	}
	if len(s.Faults) > 0 {
		fmt.Fprintln(t)
		faults.Write(t, s.Faults)
	}
	return t.Flush()
}
