// SPDX-License-Identifier: MIT
#pragma once

// The byte stream of a connection to the synthetic broker, which never blocks.

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

class Stream
{
public:
    explicit Stream(int itsSocket)
        : socket(itsSocket)
    {
    }
    virtual ~Stream() { ::close(socket); }
    Stream(const Stream &) = delete;
    Stream &operator=(const Stream &) = delete;

    // The results of these three are those of recv() and writev().
    virtual ssize_t read(char *to, std::size_t size) { return recv(socket, to, size, 0); }
    // Reads without a need for the bytes. The scratch memory may be used or not.
    virtual ssize_t discard(char *scratch, std::size_t size) // TCP discards data that is read with MSG_TRUNC
    {
        return recv(socket, scratch, size, MSG_TRUNC);
    }
    virtual ssize_t write(const iovec *parts, int count) { return writev(socket, parts, count); }

    virtual bool hasInput() const { return false; } // input that has left the socket, so that poll() does not report it
    virtual bool hasOutput() const { return false; } // output that write() has accepted, but not sent
    virtual bool flush() { return true; }            // sends that output; false if the connection has failed

    const int socket;
};

#ifdef AMQPQT_BENCHMARKS_TLS
// Makes streams over TLS with this certificate. Exits with an error if it cannot be used.
class TlsServer
{
public:
    TlsServer(const std::string &certificateFile, const std::string &keyFile);
    ~TlsServer();
    TlsServer(const TlsServer &) = delete;
    TlsServer &operator=(const TlsServer &) = delete;

    std::unique_ptr<Stream> accept(int socket) const;

private:
    struct Context;
    const std::unique_ptr<Context> m_context;
};
#endif
