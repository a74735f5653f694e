package deletions_test

import (
	"math/rand/v2"
	"sync"
)

// pile is work that is taken in no order; who does some may add to it.
type pile struct {
	mu   sync.Mutex
	more *sync.Cond
	todo []func()
	busy int
}

func newPile() *pile {
	p := &pile{}
	p.more = sync.NewCond(&p.mu)
	return p
}

func (p *pile) add(work ...func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.todo = append(p.todo, work...)
	p.more.Broadcast()
}

// run has so many workers do all of it; after is called by each after each piece.
func (p *pile) run(workers int, after func()) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for work := p.take(); work != nil; work = p.take() {
				work()
				after()
				p.done()
			}
		})
	}
	all.Wait()
}

// take returns a piece of work; nil when there is none and none can come.
func (p *pile) take() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.todo) == 0 {
		if p.busy == 0 {
			return nil
		}
		p.more.Wait()
	}
	at, last := rand.IntN(len(p.todo)), len(p.todo)-1
	work := p.todo[at]
	p.todo[at], p.todo = p.todo[last], p.todo[:last]
	p.busy++
	return work
}

func (p *pile) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	p.more.Broadcast()
}
