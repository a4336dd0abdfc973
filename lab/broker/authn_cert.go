package broker

import (
	"crypto/md5" //nolint:gosec // one of the fields that EMQX has
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// certificate is what is known of a client's certificate.
type certificate struct {
	cn, dn string
	der    []byte // nil behind a proxy that ended TLS
}

// certFields are what peer_cert_as_username and peer_cert_as_clientid may be.
var certFields = []string{"disabled", "cn", "dn", "crt", "pem", "md5"}

// field is empty when the certificate has it not: a proxy hands over the common name alone,
// which is taken for the whole subject too (esockd_peercert:subject).
func (c *certificate) field(name string) string {
	switch name {
	case "cn":
		return c.cn
	case "dn":
		return c.dn
	case "crt":
		return string(c.der)
	case "pem":
		return base64.StdEncoding.EncodeToString(c.der)
	case "md5":
		if c.der == nil {
			return ""
		}
		sum := md5.Sum(c.der) //nolint:gosec // one of the fields that EMQX has
		return hex.EncodeToString(sum[:])
	}
	return ""
}

// certificateOf finds what is known of the certificate of a connection. Behind a listener
// that speaks PROXY protocol it is what the header says and no more, whether or not that
// was verified: one of a TLS that was only passed through is lost
// (esockd_transport:peercert of a proxy_socket, emqx_ws_connection:get_peer_info).
func certificateOf(c net.Conn) *certificate {
	for {
		switch x := c.(type) {
		case *link:
			c = x.Conn
		case *wsConn:
			c = x.Conn
		case *webConn:
			c = x.Conn
		case *proxiedConn:
			return x.cert
		case *tls.Conn:
			if p, ok := x.NetConn().(*proxiedConn); ok {
				return p.cert
			}
			state := x.ConnectionState()
			if len(state.PeerCertificates) == 0 {
				return nil
			}
			leaf := state.PeerCertificates[0]
			return &certificate{cn: leaf.Subject.CommonName, dn: leaf.Subject.String(), der: leaf.Raw}
		default:
			return nil
		}
	}
}

// namedCertificate reads the common name that HAProxy's send-proxy-v2-ssl-cn sends.
func namedCertificate(h *proxyproto.Header) *certificate {
	tlvs, err := h.TLVs()
	if err != nil {
		return nil
	}
	ssl, ok := tlvparse.FindSSL(tlvs)
	if !ok {
		return nil
	}
	cn, ok := ssl.ClientCN()
	if !ok {
		return nil
	}
	return &certificate{cn: cn, dn: cn}
}

// nameByCertificate gives a client the names that its certificate has, over those that it
// gives itself (set_peercert_infos, enrich_client). The code is nil when it may go on.
func (a *app) nameByCertificate(k *link, cl *mqtt.Client) *packets.Code {
	m := a.node.cfg.mqtt
	who := k.who
	id := ""
	if who.cert = certificateOf(k); who.cert != nil {
		if name := who.cert.field(m.certUsername); name != "" {
			who.username = &name
			cl.Properties.Username = []byte(name)
		}
		id = who.cert.field(m.certClientID)
	}
	if m.nameIsClientID && who.username != nil {
		if id = *who.username; id == "" {
			return &packets.ErrClientIdentifierNotValid
		}
	}
	if id == "" {
		id = who.clientID
	}
	if m.clientID != nil { // a failure leaves the client its own (override_clientid)
		if other, err := m.clientID.render(who); err != nil || other == "" {
			a.node.log.Warn("clientid_override_expression_failed", "clientid", id, "reason", fmt.Sprint(err))
		} else {
			id = other
		}
	}
	if id != who.clientID {
		who.clientID, cl.ID = id, id
		cl.Properties.Props.AssignedClientID = ""
	}
	return nil
}
