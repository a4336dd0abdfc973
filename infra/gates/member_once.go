package gates

import (
	"context"
	"sync"
)

// AskingOnce returns a context within which [AskMember] asks each member once, whoever
// wants to know: a look at the cluster and the gate in it share the answers.
func AskingOnce(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceKey{}, &askedOnce{answers: map[string]func() (MemberView, error){}})
}

type onceKey struct{}

type askedOnce struct {
	mu      sync.Mutex
	answers map[string]func() (MemberView, error) // by allocation
}

func (o *askedOnce) ask(alloc string, question func() (MemberView, error)) (MemberView, error) {
	o.mu.Lock()
	answer := o.answers[alloc]
	if answer == nil {
		answer = sync.OnceValues(question)
		o.answers[alloc] = answer
	}
	o.mu.Unlock()
	return answer()
}
