// SPDX-License-Identifier: MIT
#pragma once

#include "wire/methods_p.h"

#include <AmqpQt/error.h>

namespace AmqpQt::Engine
{

// What the client can do after a connection was lost or could not be opened.
enum class FailureClass : quint8 {
    Recoverable, // another attempt may succeed
    Credentials, // only an attempt with other credentials may succeed
    Final,       // another attempt would fail in the same way, or is not wanted
};

// Before connection.open-ok, an error shows that the broker or this client is set up in the wrong way, unless it can be
// temporary. An open connection was set up correctly, so nearly every error that ends it may be temporary.
enum class FailurePhase : quint8 { Opening, Open };

// Whether one side has reported that the other violated the protocol. This repeats itself if it is due to a defect.
inline bool isViolation(const Error &error)
{
    switch (error.replyCode()) {
    case Wire::ReplyCode::FrameError:
    case Wire::ReplyCode::SyntaxError:
    case Wire::ReplyCode::CommandInvalid:
    case Wire::ReplyCode::ChannelError:
    case Wire::ReplyCode::UnexpectedFrame:
    case Wire::ReplyCode::NotImplemented:
        return error.kind() == ErrorKind::ConnectionClosed || error.kind() == ErrorKind::ProtocolViolation;
    default:
        return error.kind() == ErrorKind::ProtocolViolation;
    }
}

inline FailureClass classifyClose(const Error &error, FailurePhase phase) // connection.close of the broker
{
    using enum FailureClass;
    switch (error.replyCode()) {
    case Wire::ReplyCode::AccessRefused:
        return Credentials;
    case Wire::ReplyCode::NotAllowed:
        if (error.method() == QLatin1StringView(Wire::ConnectionUpdateSecret::name))
            return Credentials;
        // The virtual host is missing, or has its maximum number of connections, which may include those that the
        // broker has not yet found to be lost.
        if (error.text().contains(QLatin1StringView("connection limit")))
            return Recoverable;
        return phase == FailurePhase::Open ? Recoverable : Final;
    case Wire::ReplyCode::InvalidPath:
        return phase == FailurePhase::Open ? Recoverable : Final;
    default: // such as 320 (closed by an operator or a shutdown) and 541 (internal error)
        return isViolation(error) && phase == FailurePhase::Opening ? Final : Recoverable;
    }
}

inline FailureClass classify(const Error &error, FailurePhase phase)
{
    using enum FailureClass;
    switch (error.kind()) {
    case ErrorKind::Network:
    case ErrorKind::Timeout:
        return Recoverable;
    case ErrorKind::ConnectionClosed:
        return classifyClose(error, phase);
    case ErrorKind::Authentication:
        return Credentials;
    case ErrorKind::Tls:               // before: a certificate or a setting; later: damaged data
    case ErrorKind::ProtocolViolation: // before: a server that speaks another protocol
        return phase == FailurePhase::Open ? Recoverable : Final;
    default: // ended by the application, or rejected by the client
        return Final;
    }
}

} // namespace AmqpQt::Engine
