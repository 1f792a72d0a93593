package certs

import "errors"

var (
	// ErrStranger is returned for a certificate that this cluster's authority did
	// not issue.
	ErrStranger = errors.New("certificate of a stranger: not issued by this cluster's authority")
	// ErrExpired is returned for a certificate that is not valid yet or no more; a
	// wrong wall clock looks the same.
	ErrExpired = errors.New("certificate expired or not valid yet: renew it, or set the clock right")
	// ErrKind is returned for a certificate of the authority that may not be used
	// this way: a client's certificate at a node, for one.
	ErrKind = errors.New("certificate is of the wrong kind")
	// ErrNoIdentity is returned for a certificate that names nobody.
	ErrNoIdentity = errors.New("certificate names neither a principal nor a node")
	// ErrNoCertificate is returned when the peer showed no certificate.
	ErrNoCertificate = errors.New("certificate missing: the peer showed none")
	// ErrPEM is returned when bytes to load are not what they should be.
	ErrPEM = errors.New("certs: bad PEM")
	// ErrName is returned when a certificate is asked for with a name that cannot be.
	ErrName = errors.New("certs: bad name")
)
