// SPDX-License-Identifier: MIT
#include "tokensource.h"

#include <QJsonDocument>
#include <QJsonObject>
#include <QNetworkReply>
#include <QNetworkRequest>
#include <QUrlQuery>

using namespace Qt::StringLiterals;

TokenSource::TokenSource(const QUrl &endpoint, const QString &clientId, const QString &clientSecret, QObject *parent)
    : QObject(parent)
    , m_endpoint(endpoint)
    , m_clientId(clientId)
    , m_clientSecret(clientSecret)
{
    connect(&m_network, &QNetworkAccessManager::finished, this, &TokenSource::finished);
}

void TokenSource::fetch()
{
    constexpr std::chrono::milliseconds Timeout{10'000};
    QNetworkRequest request(m_endpoint);
    request.setHeader(QNetworkRequest::ContentTypeHeader, u"application/x-www-form-urlencoded"_s);
    request.setTransferTimeout(int(Timeout.count()));
    QUrlQuery form;
    form.addQueryItem(u"grant_type"_s, u"client_credentials"_s);
    form.addQueryItem(u"client_id"_s, QString::fromLatin1(QUrl::toPercentEncoding(m_clientId)));
    form.addQueryItem(u"client_secret"_s, QString::fromLatin1(QUrl::toPercentEncoding(m_clientSecret)));
    m_network.post(request, form.toString(QUrl::FullyEncoded).toLatin1());
}

void TokenSource::finished(QNetworkReply *reply)
{
    reply->deleteLater();
    if (reply->error() != QNetworkReply::NoError) {
        Q_EMIT failed(reply->errorString());
        return;
    }
    const QJsonObject answer = QJsonDocument::fromJson(reply->readAll()).object();
    const QString token = answer.value("access_token"_L1).toString();
    const qint64 life = answer.value("expires_in"_L1).toInteger();
    if (token.isEmpty() || life < 1)
        Q_EMIT failed(u"the answer of the token endpoint has no access_token or no expires_in"_s);
    else
        Q_EMIT fetched(token, std::chrono::seconds(life));
}
