// SPDX-License-Identifier: MIT
#include "transport/tlsmemory_p.h"

#include <QtCore/qdatetime.h>

#include <algorithm>

namespace AmqpQt
{

void TlsMemory::accept(const QSslCertificate &certificate, const QList<QSslError::SslError> &errors)
{
    if (errors.isEmpty())
        m_accepted.remove(certificate.toDer());
    else
        m_accepted.insert(certificate.toDer(), errors);
}

bool TlsMemory::accepts(const QSslCertificate &certificate, const QList<QSslError> &errors) const
{
    const QList<QSslError::SslError> accepted = m_accepted.value(certificate.toDer());
    return !certificate.isNull() && std::all_of(errors.begin(), errors.end(), [&](const QSslError &error) {
        return accepted.contains(error.error());
    });
}

QByteArray TlsMemory::session(const QString &peer, const QSslConfiguration &configuration) const
{
    const auto found = m_sessions.constFind(peer);
    const bool isUsable = found != m_sessions.constEnd() && found->configuration == configuration &&
                          QDateTime::currentDateTimeUtc() < found->certificate.expiryDate();
    return isUsable ? found->bytes : QByteArray();
}

void TlsMemory::keepSession(const QString &peer, const QSslCertificate &certificate,
                            const QSslConfiguration &configuration, const QByteArray &session)
{
    m_sessions.insert(peer, {configuration, certificate, session});
}

} // namespace AmqpQt
