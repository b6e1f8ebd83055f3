// SPDX-License-Identifier: MIT

// TLS by OpenSSL with few system calls: a read takes as many records from the socket as there are, and the records of a
// write are sent together.

#include "measure.h"
#include "stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <climits>

namespace
{

constexpr int BufferSize = 256 * 1024;

class TlsStream : public Stream
{
public:
    TlsStream(int itsSocket, SSL_CTX *context)
        : Stream(itsSocket)
        , m_ssl(SSL_new(context))
        , m_output(BIO_new(BIO_f_buffer()))
    {
        BIO_set_write_buffer_size(m_output, BufferSize);
        SSL_set0_rbio(m_ssl, BIO_new_socket(itsSocket, BIO_NOCLOSE));
        SSL_set0_wbio(m_ssl, BIO_push(m_output, BIO_new_socket(itsSocket, BIO_NOCLOSE)));
        SSL_set_accept_state(m_ssl);
    }
    ~TlsStream() override
    {
        ERR_clear_error();
        SSL_shutdown(m_ssl);
        SSL_free(m_ssl);
        ERR_clear_error();
    }

    ssize_t read(char *to, std::size_t size) override
    {
        ERR_clear_error();
        std::size_t total = 0;
        while (total < size) { // each call returns one record at most
            const int got = SSL_read(m_ssl, to + total, int(std::min<std::size_t>(size - total, INT_MAX)));
            if (got <= 0) {
                const ssize_t result = failed(got);
                m_hasInput = false;
                return total > 0 ? ssize_t(total) : result;
            }
            total += std::size_t(got);
        }
        m_hasInput = SSL_has_pending(m_ssl); // records may be left, or the beginning of one
        return ssize_t(total);
    }

    ssize_t discard(char *scratch, std::size_t size) override { return read(scratch, size); }

    ssize_t write(const iovec *parts, int count) override
    {
        ERR_clear_error();
        std::size_t total = 0;
        for (int i = 0; i < count; ++i) {
            const char *from = static_cast<const char *>(parts[i].iov_base);
            for (std::size_t left = parts[i].iov_len; left > 0;) { // each call writes one record
                const int written = SSL_write(m_ssl, from, int(std::min<std::size_t>(left, INT_MAX)));
                if (written <= 0)
                    return total > 0 ? ssize_t(total) : failed(written);
                from += written;
                left -= std::size_t(written);
                total += std::size_t(written);
            }
        }
        return flush() ? ssize_t(total) : -1;
    }

    bool hasInput() const override { return m_hasInput; }
    bool hasOutput() const override { return BIO_wpending(m_output) > 0; }
    bool flush() override { return BIO_flush(m_output) > 0 || BIO_should_retry(m_output); }

private:
    // Returns what recv() and writev() would return.
    ssize_t failed(int result) const
    {
        const int error = SSL_get_error(m_ssl, result);
        if (error == SSL_ERROR_ZERO_RETURN)
            return 0;
        errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
        return -1;
    }

    SSL *const m_ssl;
    BIO *const m_output;
    bool m_hasInput = false;
};

} // namespace

struct TlsServer::Context {
    SSL_CTX *const ssl = SSL_CTX_new(TLS_server_method());

    ~Context() { SSL_CTX_free(ssl); }
};

TlsServer::TlsServer(const std::string &certificateFile, const std::string &keyFile)
    : m_context(std::make_unique<Context>())
{
    SSL_CTX *const ssl = m_context->ssl;
    if (SSL_CTX_use_certificate_chain_file(ssl, certificateFile.c_str()) != 1)
        fail("cannot read a certificate from " + certificateFile);
    if (SSL_CTX_use_PrivateKey_file(ssl, keyFile.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ssl) != 1)
        fail("cannot read the key of the certificate from " + keyFile);
    SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
    SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256"); // the fastest
    SSL_CTX_set_num_tickets(ssl, 0);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ssl, 1);
    SSL_CTX_set_default_read_buffer_len(ssl, BufferSize);
}

TlsServer::~TlsServer() = default;

std::unique_ptr<Stream> TlsServer::accept(int socket) const
{
    return std::make_unique<TlsStream>(socket, m_context->ssl);
}
