package controller

import "sync"

// remembered is how many events are known again when they come twice. An event comes twice within minutes, if at all.
const remembered = 16_384

// recent knows the latest events that were handled, by their ids. It is safe for concurrent use.
type recent struct {
	mu    sync.Mutex
	known map[string]bool
	ring  []string // in the order of their handling, from next on
	next  int
}

func newRecent() *recent { return &recent{known: map[string]bool{}, ring: make([]string, remembered)} }

// knows reports whether all events of a burst have been handled: one that is new is a reason to look.
func (r *recent) knows(ids []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if !r.known[id] {
			return false
		}
	}
	return true
}

// note remembers events that are handled, instead of the oldest.
func (r *recent) note(ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if r.known[id] {
			continue
		}
		delete(r.known, r.ring[r.next])
		r.known[id], r.ring[r.next] = true, id
		r.next = (r.next + 1) % len(r.ring)
	}
}
