package middleware

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	v1 "github.com/cls-backend/cls-backend/api/v1"
	"github.com/cls-backend/cls-backend/internal/models"
)

// The headers by which a gateway says who calls.
const (
	headerEmail  = "X-User-Email"
	headerRoles  = "X-User-Roles"
	headerSecret = "X-Proxy-Secret"
)

// developer is who calls without a header where authentication is switched off.
const developer = "developer@localhost"

// Controller is an identity that is a controller; Name, when not "", is the only
// controller name that it may report under.
type Controller struct {
	Email string
	Name  string
}

// Auth says whose word about a caller's identity is believed, and who has which role.
// Addresses compare without regard to case.
type Auth struct {
	// Disabled believes everybody, and takes a caller without a header for
	// developer@localhost, an administrator and a controller.
	Disabled bool
	// TrustedProxies are the networks of gateways. A peer that is in ControllerNetworks
	// as well counts as a gateway.
	TrustedProxies []netip.Prefix
	// ProxySecret makes a gateway of whoever sends it; "" of nobody.
	ProxySecret string
	// TrustRoles lets the gateway's X-User-Roles count.
	TrustRoles bool
	// ControllerNetworks are where controllers may name themselves, and only that.
	ControllerNetworks []netip.Prefix
	Controllers        []Controller
	Admins             []string
}

// gate is an Auth made ready to be asked often.
type gate struct {
	Auth

	secret      [sha256.Size]byte
	controllers map[string]string
	admins      map[string]bool
}

func newGate(a Auth) *gate {
	g := &gate{Auth: a, controllers: map[string]string{}, admins: map[string]bool{}}
	g.secret = sha256.Sum256([]byte(a.ProxySecret))
	for _, c := range a.Controllers {
		g.controllers[strings.ToLower(c.Email)] = c.Name
	}
	for _, email := range a.Admins {
		g.admins[strings.ToLower(email)] = true
	}
	return g
}

// actor establishes who makes a request, by its headers and its immediate peer: never by
// X-Forwarded-For, which anybody can write. The codes are AMBIGUOUS_IDENTITY,
// AUTH_REQUIRED, UNTRUSTED_PROXY and INVALID_EMAIL.
func (g *gate) actor(r *http.Request) (models.Actor, error) {
	if err := unambiguous(r.Header); err != nil {
		return models.Actor{}, err
	}
	given := r.Header.Get(headerEmail)
	if given == "" {
		if g.Disabled {
			return models.Actor{Email: developer, Controller: true, Admin: true}, nil
		}
		return models.Actor{}, models.Errorf(v1.CodeAuthRequired, "the request names no user: %s is missing", headerEmail)
	}
	gateway := g.Disabled || g.isGateway(r)
	if !gateway && !g.isControllerPeer(r, given) {
		return models.Actor{}, models.Errorf(v1.CodeUntrustedProxy, "%s is not believed from this address", headerEmail)
	}
	email, err := models.ParseEmail(given)
	if err != nil {
		return models.Actor{}, err
	}
	return g.withRoles(email, gateway, r.Header.Get(headerRoles)), nil
}

// withRoles gives an address its roles. From a controllers' network nobody is more than
// a controller.
func (g *gate) withRoles(email string, gateway bool, roles string) models.Actor {
	a := models.Actor{Email: email}
	a.ControllerName, a.Controller = g.controllers[email]
	if !gateway {
		return a
	}
	a.Admin = g.admins[email]
	if g.TrustRoles && roles != "" {
		for role := range strings.SplitSeq(roles, ",") {
			role = strings.TrimSpace(role)
			a.Controller = a.Controller || strings.EqualFold(role, "controller")
			a.Admin = a.Admin || strings.EqualFold(role, "admin")
		}
	}
	return a
}

func (g *gate) isGateway(r *http.Request) bool {
	if contains(g.TrustedProxies, peer(r)) {
		return true
	}
	// Digests, since the comparison takes the same time only for texts of one length.
	given := sha256.Sum256([]byte(r.Header.Get(headerSecret)))
	return g.ProxySecret != "" && subtle.ConstantTimeCompare(given[:], g.secret[:]) == 1
}

func (g *gate) isControllerPeer(r *http.Request, email string) bool {
	_, known := g.controllers[strings.ToLower(email)]
	return known && contains(g.ControllerNetworks, peer(r))
}

// peer is the address at the other end of the connection; not valid when there is none.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// unambiguous refuses identity headers that come twice, and names that a gateway or a
// program behind it may take for one of them, such as X_User_Email.
func unambiguous(h http.Header) error {
	for name, values := range h {
		for _, header := range [...]string{headerEmail, headerRoles, headerSecret} {
			if looksLike(name, header) && (name != header || len(values) > 1) {
				return &models.Error{
					Code: v1.CodeAmbiguousIdentity, Message: header + " must come once, and nothing that looks like it beside it",
					Faults: []models.Fault{{Field: header, Reason: "is ambiguous"}},
				}
			}
		}
	}
	return nil
}

// looksLike compares two header names by their letters and digits alone.
func looksLike(name, header string) bool {
	at := 0
	for i := range len(name) {
		c := name[i] | 0x20
		if (c < 'a' || c > 'z') && (name[i] < '0' || name[i] > '9') {
			continue
		}
		if header[at:] != "" && header[at] == '-' {
			at++
		}
		if at == len(header) || header[at]|0x20 != c {
			return false
		}
		at++
	}
	return at == len(header)
}
