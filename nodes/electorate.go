package nodes

import (
	lockstepv1 "lockstep/api/lockstep/v1"
	"lockstep/nodes/confirm"
)

// electorate is whom confirmation rounds ask. There is no tenure before Run has
// opened Raft.
type electorate struct{ node *Node }

var _ confirm.Electorate = electorate{}

// Term implements confirm.Electorate.
func (e electorate) Term() uint64 { return e.node.raft.Load().Term() }

// CommitIndex implements confirm.Electorate.
func (e electorate) CommitIndex() uint64 { return e.node.raft.Load().CommitIndex() }

// Voters implements confirm.Electorate.
func (e electorate) Voters() []string {
	servers := e.node.raft.Load().Voters()
	voters := make([]string, len(servers))
	for i, s := range servers {
		voters[i] = s.Node
	}
	return voters
}

// Ask implements confirm.Electorate. The answer counts only for the tenure whose
// question it is: nonces begin anew with each.
func (e electorate) Ask(node string, term, nonce uint64) {
	question := &lockstepv1.PeerRequest{Body: &lockstepv1.PeerRequest_Confirm{
		Confirm: &lockstepv1.ConfirmRequest{Term: term, Nonce: nonce},
	}}
	e.node.asker.Ask(node, question, func(reply *lockstepv1.PeerReply) {
		answer := reply.GetConfirm()
		if answer == nil || answer.GetNonce() != nonce {
			return
		}
		if t := e.node.office.Current(); t != nil && t.Term() == term {
			t.Answered(node, answer.GetTerm(), nonce)
		}
	})
}
