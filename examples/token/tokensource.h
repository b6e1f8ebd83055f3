// SPDX-License-Identifier: MIT
#pragma once

#include <QNetworkAccessManager>
#include <QObject>
#include <QUrl>

#include <chrono>

class QNetworkReply;

// Fetches tokens from a token endpoint (RFC 6749, section 4.4: client credentials).
class TokenSource : public QObject
{
    Q_OBJECT
public:
    TokenSource(const QUrl &endpoint, const QString &clientId, const QString &clientSecret, QObject *parent = nullptr);

    void fetch();

Q_SIGNALS:
    void fetched(const QString &token, std::chrono::seconds life);
    void failed(const QString &reason);

private:
    void finished(QNetworkReply *reply);

    const QUrl m_endpoint;
    const QString m_clientId;
    const QString m_clientSecret;
    QNetworkAccessManager m_network;
};
