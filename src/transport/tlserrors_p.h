// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtNetwork/qabstractsocket.h>
#include <QtNetwork/qssl.h>
#include <QtNetwork/qsslerror.h>

#include <optional>

namespace AmqpQt
{

// What a TLS socket has reported about its failure.
struct TlsFailure {
    QAbstractSocket::SocketError code = QAbstractSocket::UnknownSocketError;
    QString text;            // of the socket
    QList<QSslError> errors; // of the verification
    std::optional<QSsl::AlertType> alertReceived;
    std::optional<QSsl::AlertType> alertSent;
    bool isEncrypted = false; // the handshake was complete on this side
    bool isSilent = true;     // the broker has not sent anything after the handshake
    bool hasClientCertificate = false;
    QString peerName; // the name that was verified
};

// Returns the cause and the remedy. Its kind is Network if a further attempt may help.
Error describe(const TlsFailure &failure);
Error tlsIsMissing();

} // namespace AmqpQt
