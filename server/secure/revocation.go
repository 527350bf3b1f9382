package secure

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	// fetchTimeout bounds one question to an authority, clockSkew is by how much its clock may differ.
	fetchTimeout = 5 * time.Second
	clockSkew    = 15 * time.Minute
	// maxAnswerBytes bounds an answer: lists of large authorities have some megabytes.
	maxAnswerBytes = 64 << 20
	// freshFor is how long an answer is used without asking again, failedFor how long one that did not come.
	freshFor  = 5 * time.Minute
	failedFor = 10 * time.Second
	// maxAnswers bounds how many answers are kept.
	maxAnswers = 1000
)

// revocation asks authorities whether they have revoked certificates: by OCSP if that is wanted, else and where that gives
// no answer by lists. Without any answer a certificate is refused, as Java does.
type revocation struct {
	ocsp   bool
	client *http.Client
	now    func() time.Time

	mu      sync.Mutex
	answers map[string]*answer
}

// answer is what an authority said to one question; its lock is held while it is asked.
type answer struct {
	mu      sync.Mutex
	until   time.Time
	list    *revocationList
	revoked bool // by OCSP
	err     error
}

func newRevocation(ocsp bool) *revocation {
	return &revocation{
		ocsp: ocsp, client: &http.Client{Timeout: fetchTimeout}, now: time.Now, answers: make(map[string]*answer),
	}
}

// check asks for each certificate of a chain but the last one, which is trusted as it is.
func (r *revocation) check(chain []*x509.Certificate) error {
	for i, c := range chain[:len(chain)-1] {
		revoked, err := r.status(c, chain[i+1])
		switch {
		case err != nil:
			return fmt.Errorf("whether %s is revoked cannot be found out: %w", nameOf(c), err)
		case revoked:
			return fmt.Errorf("%s is revoked", nameOf(c))
		}
	}
	return nil
}

func (r *revocation) status(c, issuer *x509.Certificate) (revoked bool, err error) {
	var failed []error
	if r.ocsp {
		for _, url := range c.OCSPServer {
			if revoked, err := r.askOnline(url, c, issuer); err == nil {
				return revoked, nil
			} else {
				failed = append(failed, fmt.Errorf("%s: %w", url, err))
			}
		}
	}
	for _, url := range c.CRLDistributionPoints {
		if revoked, err := r.askList(url, c, issuer); err == nil {
			return revoked, nil
		} else {
			failed = append(failed, fmt.Errorf("%s: %w", url, err))
		}
	}
	if failed == nil {
		return false, errors.New("it does not say where to ask")
	}
	return false, errors.Join(failed...)
}

// once returns the kept answer to a question, or asks it.
func (r *revocation) once(question string, ask func() answer) *answer {
	r.mu.Lock()
	a := r.answers[question]
	if a == nil {
		if len(r.answers) >= maxAnswers {
			clear(r.answers)
		}
		a = new(answer)
		r.answers[question] = a
	}
	r.mu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := r.now(); now.After(a.until) {
		got := ask()
		a.list, a.revoked, a.err = got.list, got.revoked, got.err
		a.until = now.Add(freshFor)
		if a.err != nil {
			a.until = now.Add(failedFor)
		} else if got.until.Before(a.until) {
			a.until = got.until
		}
	}
	return a
}

func (r *revocation) askOnline(url string, c, issuer *x509.Certificate) (revoked bool, err error) {
	request, err := ocsp.CreateRequest(c, issuer, nil)
	if err != nil {
		return false, err
	}
	a := r.once(url+" "+string(request), func() answer {
		body, err := r.fetch(http.MethodPost, url, request)
		if err != nil {
			return answer{err: err}
		}
		response, err := ocsp.ParseResponseForCert(body, c, issuer)
		if err != nil {
			return answer{err: err}
		}
		if err := r.valid(response, issuer); err != nil {
			return answer{err: err}
		}
		return answer{revoked: response.Status == ocsp.Revoked, until: response.NextUpdate.Add(clockSkew)}
	})
	return a.revoked, a.err
}

// valid checks what the parser of the response, which has checked its signature, leaves to the caller.
func (r *revocation) valid(response *ocsp.Response, issuer *x509.Certificate) error {
	if by := response.Certificate; by != nil && !by.Equal(issuer) {
		allowed := false
		for _, usage := range by.ExtKeyUsage {
			allowed = allowed || usage == x509.ExtKeyUsageOCSPSigning
		}
		if now := r.now(); !allowed || now.Before(by.NotBefore) || now.After(by.NotAfter) {
			return errors.New("the answer is signed by somebody who may not")
		}
	}
	if response.Status == ocsp.Unknown {
		return errors.New("the authority does not know it")
	}
	return r.current(response.ThisUpdate, response.NextUpdate)
}

// current checks the time of an answer. One that does not say until when it is good is good for as long as clocks may
// differ.
func (r *revocation) current(from, until time.Time) error {
	if until.IsZero() {
		until = from
	}
	if now := r.now(); now.Add(clockSkew).Before(from) || now.Add(-clockSkew).After(until) {
		return fmt.Errorf("the answer is good from %v until %v only", from, until)
	}
	return nil
}

func (r *revocation) askList(url string, c, issuer *x509.Certificate) (revoked bool, err error) {
	a := r.once(url+" "+string(issuer.RawSubject), func() answer {
		body, err := r.fetch(http.MethodGet, url, nil)
		if err != nil {
			return answer{err: err}
		}
		list, err := parseList(body, url, issuer)
		if err != nil {
			return answer{err: err}
		}
		if err := r.current(list.ThisUpdate, list.NextUpdate); err != nil {
			return answer{err: err}
		}
		return answer{list: list, until: list.NextUpdate.Add(clockSkew)}
	})
	if a.err != nil {
		return false, a.err
	}
	return a.list.revokes(c)
}

func (r *revocation) fetch(method, url string, body []byte) ([]byte, error) {
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, errors.New("only HTTP is spoken")
	}
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/ocsp-request")
	}
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if len(answer) > maxAnswerBytes {
		err = errors.New("the answer is too long")
	}
	return answer, err
}
