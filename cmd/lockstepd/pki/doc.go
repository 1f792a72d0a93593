// Package pki keeps a cluster's authority and the certificates it issues in
// files. It decides names and permissions of the files and refuses to overwrite
// one; what a certificate says is decided by package certs.
package pki
