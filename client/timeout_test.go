package client

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// hole is a network in which whatever is sent is lost.
type hole struct{ tries int }

func (h *hole) RoundTrip(r *http.Request) (*http.Response, error) {
	h.tries++
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestAServiceThatNeverAnswers is given up in the end, and tried again where that may help.
func TestAServiceThatNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, err := New("http://cls.example", Options{Retry: Retry{Attempts: 3}})
		if err != nil {
			t.Fatal(err)
		}
		lost := &hole{}
		c.options.HTTP.Transport = lost
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = c.GetCluster(ctx, "c")
		if took := time.Since(began); err == nil || lost.tries != 3 || took < 90*time.Second || took > 91*time.Second {
			t.Errorf("%d tries in %v end with %v", lost.tries, took, err)
		}
		if timeout, ok := errors.AsType[interface {
			error
			Timeout() bool
		}](err); !ok || !timeout.Timeout() {
			t.Errorf("it is no timeout: %v", err)
		}
	})
}
