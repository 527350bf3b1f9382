package secure

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// revocationList is a list of revoked certificates with what it says about the certificates that it covers.
type revocationList struct {
	*x509.RevocationList
	scope issuingDistributionPoint
}

// issuingDistributionPoint is an extension of lists that do not cover everything (RFC 5280, 5.2.5).
type issuingDistributionPoint struct {
	Point          distributionPointName `asn1:"optional,tag:0"`
	OnlyUsers      bool                  `asn1:"optional,tag:1"`
	OnlyCAs        bool                  `asn1:"optional,tag:2"`
	Reasons        asn1.BitString        `asn1:"optional,tag:3"`
	Indirect       bool                  `asn1:"optional,tag:4"`
	OnlyAttributes bool                  `asn1:"optional,tag:5"`
}

type distributionPointName struct {
	FullName []asn1.RawValue `asn1:"optional,tag:0"`
}

const tagURI = 6

var oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}

// parseList reads a list that came from url and is to be one of issuer.
func parseList(der []byte, url string, issuer *x509.Certificate) (*revocationList, error) {
	parsed, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if err := parsed.CheckSignatureFrom(issuer); err != nil {
		return nil, err
	}
	if !bytes.Equal(parsed.RawIssuer, issuer.RawSubject) {
		return nil, errors.New("the list is one of another authority")
	}
	list := &revocationList{RevocationList: parsed}
	for _, extension := range parsed.Extensions {
		switch {
		case extension.Id.Equal(oidIssuingDistributionPoint):
			rest, err := asn1.Unmarshal(extension.Value, &list.scope)
			if err != nil || len(rest) > 0 {
				return nil, fmt.Errorf("the list does not say what it covers (extension %v)", extension.Id)
			}
		case extension.Critical:
			return nil, fmt.Errorf("the list has extension %v, which is not known here", extension.Id)
		}
	}
	if s := list.scope; s.Reasons.BitLength > 0 || s.Indirect || s.OnlyAttributes {
		return nil, errors.New("the list covers only some reasons, or other authorities")
	}
	// Who is between could hand out another part of the list, in which the certificate does not stand.
	names := list.scope.Point.FullName
	if len(names) > 0 && !slices.ContainsFunc(names, func(n asn1.RawValue) bool { return n.Tag == tagURI && string(n.Bytes) == url }) {
		return nil, errors.New("the list is the one of another place")
	}
	return list, nil
}

// revokes tells whether a certificate is revoked; an error if the list does not cover it.
func (l *revocationList) revokes(c *x509.Certificate) (bool, error) {
	if l.scope.OnlyUsers && c.IsCA || l.scope.OnlyCAs && !c.IsCA {
		return false, errors.New("the list does not cover it")
	}
	return slices.ContainsFunc(l.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(c.SerialNumber) == 0
	}), nil
}
