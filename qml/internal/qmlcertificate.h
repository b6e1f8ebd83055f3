// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qdatetime.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtQml/qqmlregistration.h>

namespace AmqpQt
{

// The facts about a certificate that a person needs. Without a certificate all of them are empty.
class QmlCertificate
{
    Q_GADGET
    Q_PROPERTY(QString commonName READ commonName CONSTANT)
    Q_PROPERTY(QString issuer READ issuer CONSTANT)
    Q_PROPERTY(QDateTime effectiveDate READ effectiveDate CONSTANT)
    Q_PROPERTY(QDateTime expiryDate READ expiryDate CONSTANT)
    Q_PROPERTY(bool expired READ isExpired CONSTANT)
    Q_PROPERTY(QString fingerprint READ fingerprint CONSTANT)
    QML_VALUE_TYPE(amqpCertificate)
public:
    QmlCertificate() = default;
    explicit QmlCertificate(const QSslCertificate &certificate)
        : m_certificate(certificate)
    {
    }

    QString commonName() const;
    QString issuer() const;
    QDateTime effectiveDate() const { return m_certificate.effectiveDate(); }
    QDateTime expiryDate() const { return m_certificate.expiryDate(); }
    bool isExpired() const;      // at the time of the call
    QString fingerprint() const; // SHA-256 in hexadecimal digits

    friend bool operator==(const QmlCertificate &a, const QmlCertificate &b)
    {
        return a.m_certificate == b.m_certificate;
    }
    friend bool operator!=(const QmlCertificate &a, const QmlCertificate &b) { return !(a == b); }

private:
    QSslCertificate m_certificate;
};

} // namespace AmqpQt
