// SPDX-License-Identifier: MIT
#pragma once

#include "support/tlsserver.h"

#include <QtCore/qlist.h>

// What a client trusts and shows, and whether it may connect to a server. AmqpQt, pika and librabbitmq have the same
// verdicts; tests/client tests those of AmqpQt, tests/rabbitmq those of the others.
struct TlsCase {
    const char *name;
    bool connects;
    std::optional<TlsSettings> server = TlsSettings(); // a server without TLS if there are none
    // The client.
    QString host = QStringLiteral("localhost"); // also the name that the certificate must have, unless peerName is set
    QString peerName = {};
    QString authorities = QStringLiteral("ca"); // a NAME of tools/certificates, as are the next two
    QString certificate = {};
    QString key = {}; // unless it is that of the certificate
    bool verifies = true;
};

inline QList<TlsCase> tlsCases()
{
    using namespace Qt::StringLiterals;
    using ClientCertificate = TlsSettings::ClientCertificate;
    using Handshake = TlsSettings::Handshake;
    const auto server = [](const QString &certificate) { return TlsSettings{.certificate = certificate}; };
    const auto only = [](const QByteArray &version) {
        return TlsSettings{.minimumVersion = version, .maximumVersion = version};
    };
    const TlsSettings demanding{.clientCertificate = ClientCertificate::Required};
    const QString address = u"127.0.0.1"_s;
    return {
        {.name = "right certificate", .connects = true},
        {.name = "right certificate, RSA", .connects = true, .server = server(u"server-rsa"_s)},
        {.name = "right certificate, issued by an intermediate", .connects = true, .server = server(u"server-chain"_s)},
        {.name = "right certificate, renewed", .connects = true, .server = server(u"server-renewed"_s)},
        {.name = "expired", .connects = false, .server = server(u"server-expired"_s)},
        {.name = "not yet valid", .connects = false, .server = server(u"server-not-yet-valid"_s)},
        {.name = "self-signed", .connects = false, .server = server(u"server-self-signed"_s)},
        {.name = "self-signed, trusted",
         .connects = true,
         .server = server(u"server-self-signed"_s),
         .authorities = u"server-self-signed"_s},
        {.name = "issued by another authority", .connects = false, .server = server(u"server-foreign"_s)},
        {.name = "authority not configured", .connects = false, .authorities = u"foreign-ca"_s},
        {.name = "not verified", .connects = true, .server = server(u"server-self-signed"_s), .verifies = false},

        {.name = "wrong host", .connects = false, .server = server(u"server-wrong-host"_s)},
        {.name = "another name", .connects = false, .server = server(u"server-broker-example"_s)},
        {.name = "another name, expected",
         .connects = true,
         .server = server(u"server-broker-example"_s),
         .peerName = u"broker.example"_s},
        {.name = "expected name missing", .connects = false, .peerName = u"broker.example"_s},
        {.name = "address", .connects = true, .host = address},
        {.name = "address missing", .connects = false, .server = server(u"server-no-ip"_s), .host = address},
        {.name = "address missing, name expected",
         .connects = true,
         .server = server(u"server-no-ip"_s),
         .host = address,
         .peerName = u"localhost"_s},

        {.name = "client certificate", .connects = true, .server = demanding, .certificate = u"client"_s},
        {.name = "client certificate, RSA", .connects = true, .server = demanding, .certificate = u"client-rsa"_s},
        {.name = "client certificate, issued by an intermediate",
         .connects = true,
         .server = demanding,
         .certificate = u"client-chain"_s},
        {.name = "client certificate, not demanded", .connects = true, .certificate = u"client"_s},
        {.name = "client certificate missing", .connects = false, .server = demanding},
        {.name = "client certificate of another authority",
         .connects = false,
         .server = demanding,
         .certificate = u"client-foreign"_s},
        {.name = "client certificate expired",
         .connects = false,
         .server = demanding,
         .certificate = u"client-expired"_s},
        {.name = "client certificate with another key",
         .connects = false,
         .server = demanding,
         .certificate = u"client"_s,
         .key = u"client-rsa"_s},

        {.name = "TLS 1.3 only", .connects = true, .server = only("TLSv1.3")},
        {.name = "TLS 1.2 only", .connects = true, .server = only("TLSv1.2")},
        {.name = "TLS 1.1 only", .connects = false, .server = only("TLSv1.1")},
        {.name = "stalled handshake", .connects = false, .server = TlsSettings{.handshake = Handshake::Stalls}},
        {.name = "closed in the handshake", .connects = false, .server = TlsSettings{.handshake = Handshake::HangsUp}},
        {.name = "closed after the handshake",
         .connects = false,
         .server = TlsSettings{.handshake = Handshake::ThenHangsUp}},
        {.name = "alert in the handshake",
         .connects = false,
         .server = TlsSettings{.handshake = Handshake::SendsInstead,
                               .instead = QByteArray("\x15\x03\x03\0\x02\x02\x28", 7)}}, // handshake_failure
        {.name = "port without TLS", .connects = false, .server = std::nullopt},
    };
}
