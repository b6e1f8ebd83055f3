// SPDX-License-Identifier: MIT
#include "transport/tlserrors_p.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qstringlist.h>
#include <QtNetwork/qhostaddress.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtNetwork/qsslsocket.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

QString validNames(const QSslCertificate &certificate)
{
    QStringList names = certificate.subjectAlternativeNames().values(QSsl::DnsEntry) +
                        certificate.subjectAlternativeNames().values(QSsl::IpAddressEntry);
    if (names.isEmpty())
        names = certificate.subjectInfo(QSslCertificate::CommonName);
    if (names.isEmpty())
        return u"no name"_s;
    names.sort();
    constexpr qsizetype MostShown = 8;
    const qsizetype hidden = std::max<qsizetype>(names.size() - MostShown, 0);
    const QString shown = names.first(names.size() - hidden).join(", "_L1);
    return hidden ? u"%1 and %2 more names"_s.arg(shown, QString::number(hidden)) : shown;
}

QString issuer(const QSslCertificate &certificate)
{
    const QStringList names =
        certificate.issuerInfo(QSslCertificate::CommonName) + certificate.issuerInfo(QSslCertificate::Organization);
    return names.isEmpty() ? u"an unnamed authority"_s : u"\"%1\""_s.arg(names.constFirst());
}

QString reason(const QSslError &error, const QString &peerName)
{
    const QSslCertificate certificate = error.certificate();
    switch (error.error()) {
    case QSslError::HostNameMismatch:
        return u"it is valid for %1, but not for \"%2\"; Endpoint::peerName, or server_name_indication in a URL, sets "
               "the name that the certificate must have"_s.arg(validNames(certificate), peerName);
    case QSslError::CertificateExpired:
        return u"it expired on %1; renew it, or check the clock of this machine"_s.arg(
            certificate.expiryDate().toUTC().toString(Qt::ISODate));
    case QSslError::CertificateNotYetValid:
        return u"it is not valid before %1; check the clock of this machine"_s.arg(
            certificate.effectiveDate().toUTC().toString(Qt::ISODate));
    case QSslError::SelfSignedCertificate:
        return u"it is self-signed and not trusted; ConnectionParameters::trustOnly() with a file that contains the "
               "certificate, or cacertfile in a URL, trusts it"_s;
    case QSslError::UnableToGetIssuerCertificate:
    case QSslError::UnableToGetLocalIssuerCertificate:
    case QSslError::UnableToVerifyFirstCertificate:
    case QSslError::SelfSignedCertificateInChain:
    case QSslError::CertificateUntrusted:
        return u"its issuer, %1, is not trusted; ConnectionParameters::trustOnly() or trustAlso(), or cacertfile in a "
               "URL, sets the trusted authorities"_s.arg(issuer(certificate));
    case QSslError::InvalidPurpose:
        return u"it is not a certificate for servers; its extended key usage must contain serverAuth"_s;
    default:
        return error.errorString();
    }
}

QString verificationFailed(const TlsFailure &failure)
{
    QStringList reasons;
    for (const QSslError &error : failure.errors) {
        if (error.error() == QSslError::NoPeerCertificate)
            return u"the broker sent no certificate"_s;
        const QString text = reason(error, failure.peerName);
        if (!reasons.contains(text))
            reasons.append(text);
    }
    return u"the certificate of the broker was rejected: "_s + reasons.join("; "_L1);
}

QString clientCertificateRefused(const TlsFailure &failure, const QString &why)
{
    return failure.hasClientCertificate
               ? u"the broker refused the client certificate, %1"_s.arg(why)
               : u"the broker requires a client certificate; ConnectionParameters::setClientCertificate(), or certfile "
                 "and keyfile in a URL, sets it"_s;
}

QString oldTls()
{
    QString text =
        u"the broker supports no version of TLS that this connection accepts (TLS 1.2 and later by default); "
        "enable TLS 1.2 or 1.3 in the broker"_s;
    if (QSslSocket::activeBackend() == "securetransport"_L1)
        text += u"; Qt's TLS backend \"securetransport\" supports TLS 1.2 only, the backend \"openssl\" also 1.3"_s;
    return text;
}

QString alertText(const TlsFailure &failure)
{
    switch (*failure.alertReceived) {
    case QSsl::AlertType::ProtocolVersion:
        return oldTls();
    case QSsl::AlertType::CertificateRequired:
        return clientCertificateRefused(failure, u"or did not receive it"_s);
    case QSsl::AlertType::UnknownCa:
        return clientCertificateRefused(failure, u"since it does not trust its issuer"_s);
    case QSsl::AlertType::CertificateRevoked:
        return clientCertificateRefused(failure, u"since it has been revoked"_s);
    case QSsl::AlertType::CertificateExpired:
        return clientCertificateRefused(failure, u"since it has expired"_s);
    case QSsl::AlertType::BadCertificate:
    case QSsl::AlertType::UnsupportedCertificate:
    case QSsl::AlertType::CertificateUnknown:
    case QSsl::AlertType::AccessDenied:
        return clientCertificateRefused(failure, u"and its log may say why (%1)"_s.arg(failure.text));
    case QSsl::AlertType::UnrecognizedName:
        return u"the broker has no certificate for \"%1\"; Endpoint::peerName, or server_name_indication in a URL, "
               "sets another name"_s.arg(failure.peerName);
    case QSsl::AlertType::HandshakeFailure:
        return failure.hasClientCertificate
                   ? u"the broker refused the TLS handshake: it supports none of the offered ciphers, or refused the "
                     "client certificate (%1)"_s.arg(failure.text)
                   : u"the broker refused the TLS handshake: it supports none of the offered ciphers, or requires a "
                     "client certificate (%1)"_s.arg(failure.text);
    default:
        return u"the broker ended the TLS session: %1"_s.arg(failure.text);
    }
}

// Only OpenSSL reports that the server does not speak TLS, and only in the text of its error.
bool isNotTls(const TlsFailure &failure)
{
    return failure.code == QAbstractSocket::SslHandshakeFailedError && !failure.alertSent &&
           failure.text.contains("wrong version number"_L1);
}

} // namespace

Error describe(const TlsFailure &failure)
{
    if (!failure.errors.isEmpty())
        return Error(ErrorKind::Tls, verificationFailed(failure));
    if (failure.alertReceived && failure.isSilent) {
        // A broker that is starting or stopping sends these, so a further attempt may help.
        const bool isTemporary = failure.alertReceived == QSsl::AlertType::InternalError ||
                                 failure.alertReceived == QSsl::AlertType::UserCancelled;
        return Error(isTemporary ? ErrorKind::Network : ErrorKind::Tls, alertText(failure));
    }
    if (failure.isEncrypted) {
        const bool mayBeRefusal = failure.isSilent && failure.code == QAbstractSocket::RemoteHostClosedError;
        return Error(ErrorKind::Network,
                     mayBeRefusal ? u"%1 right after the TLS handshake; the broker may require another client "
                                    "certificate"_s.arg(failure.text)
                                  : failure.text);
    }
    if (failure.alertSent == QSsl::AlertType::ProtocolVersion)
        return Error(ErrorKind::Tls, oldTls());
    if (isNotTls(failure))
        return Error(ErrorKind::Tls,
                     u"the server does not speak TLS on this port, but probably plain AMQP; use the port of the "
                     "broker's TLS listener, usually 5671, or an endpoint without TLS"_s);
    switch (failure.code) {
    case QAbstractSocket::SslInvalidUserDataError:
        return failure.text.contains("mismatch"_L1)
                   ? Error(ErrorKind::Tls, u"the private key does not belong to the client certificate"_s)
                   : Error(ErrorKind::Tls, u"the TLS settings are invalid: %1"_s.arg(failure.text));
    case QAbstractSocket::SslHandshakeFailedError:
    case QAbstractSocket::SslInternalError:
        return Error(ErrorKind::Tls, u"the TLS handshake failed: %1"_s.arg(failure.text));
    case QAbstractSocket::RemoteHostClosedError:
        return Error(ErrorKind::Network, u"the server closed the connection during the TLS handshake; this happens if "
                                         "the port speaks plain AMQP, or the broker is not available"_s);
    default:
        return Error(ErrorKind::Network, u"the TLS handshake failed: %1"_s.arg(failure.text));
    }
}

Error tlsIsMissing()
{
    QString text = u"Qt has no TLS backend; install Qt's TLS plugin (plugins/tls) and the library that it needs"_s;
    if (const QString version = QSslSocket::sslLibraryBuildVersionString(); !version.isEmpty())
        text += u", such as %1"_s.arg(version);
    const QStringList backends = QSslSocket::availableBackends();
    return Error(ErrorKind::Tls,
                 text + u" (available backends: %1)"_s.arg(backends.isEmpty() ? u"none"_s : backends.join(", "_L1)));
}

} // namespace AmqpQt
