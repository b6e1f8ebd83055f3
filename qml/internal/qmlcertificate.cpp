// SPDX-License-Identifier: MIT
#include "qmlcertificate.h"

#include <QtCore/qcryptographichash.h>

namespace AmqpQt
{

QString QmlCertificate::commonName() const
{
    return m_certificate.subjectInfo(QSslCertificate::CommonName).value(0);
}

QString QmlCertificate::issuer() const
{
    const QStringList names =
        m_certificate.issuerInfo(QSslCertificate::CommonName) + m_certificate.issuerInfo(QSslCertificate::Organization);
    return names.value(0);
}

bool QmlCertificate::isExpired() const
{
    return !m_certificate.isNull() && m_certificate.expiryDate() < QDateTime::currentDateTimeUtc();
}

QString QmlCertificate::fingerprint() const
{
    return m_certificate.isNull()
               ? QString()
               : QString::fromLatin1(m_certificate.digest(QCryptographicHash::Sha256).toHex(':').toUpper());
}

} // namespace AmqpQt
