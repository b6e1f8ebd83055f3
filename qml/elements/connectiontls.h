// SPDX-License-Identifier: MIT
#pragma once

#include "qmlcertificate.h"

#include <AmqpQt/connection.h>

#include <QtQml/qqmlregistration.h>

#include <optional>
#include <type_traits>
#include <utility>

namespace AmqpQt
{

// The group `tls` of a Connection element: the settings for TLS by name, and the certificate of the broker.
class ConnectionTls : public QObject
{
    Q_OBJECT
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled RESET resetEnabled NOTIFY changed)
    Q_PROPERTY(bool required READ isRequired WRITE setRequired RESET resetRequired NOTIFY changed)
    Q_PROPERTY(QString trustOnly READ trustOnly WRITE setTrustOnly RESET resetTrustOnly NOTIFY changed)
    Q_PROPERTY(QString trustAlso READ trustAlso WRITE setTrustAlso RESET resetTrustAlso NOTIFY changed)
    Q_PROPERTY(
        QString certificateFile READ certificateFile WRITE setCertificateFile RESET resetCertificateFile NOTIFY changed)
    Q_PROPERTY(QString keyFile READ keyFile WRITE setKeyFile RESET resetKeyFile NOTIFY changed)
    Q_PROPERTY(QString pkcs12File READ pkcs12File WRITE setPkcs12File RESET resetPkcs12File NOTIFY changed)
    Q_PROPERTY(QString passphrase READ passphrase WRITE setPassphrase RESET resetPassphrase NOTIFY changed)
    Q_PROPERTY(QString peerName READ peerName WRITE setPeerName RESET resetPeerName NOTIFY changed)
    Q_PROPERTY(AmqpQt::QmlCertificate peerCertificate READ peerCertificate NOTIFY peerCertificateChanged)
    QML_ANONYMOUS
public:
    explicit ConnectionTls(Connection *connection);

    // These return the values in use, which may come from the URL.
    bool isEnabled() const;
    bool isRequired() const;
    QString trustOnly() const;
    QString trustAlso() const;
    QString certificateFile() const;
    QString keyFile() const;
    QString pkcs12File() const;
    QString passphrase() const { return {}; } // cannot be read back
    QString peerName() const;
    QmlCertificate peerCertificate() const;

    void setEnabled(bool enabled) { set(m_enabled, enabled); }
    void setRequired(bool required) { set(m_required, required); }
    void setTrustOnly(const QString &file) { set(m_trustOnly, file); }
    void setTrustAlso(const QString &file) { set(m_trustAlso, file); }
    void setCertificateFile(const QString &file) { set(m_certificateFile, file); }
    void setKeyFile(const QString &file) { set(m_keyFile, file); }
    void setPkcs12File(const QString &file) { set(m_pkcs12File, file); }
    void setPassphrase(const QString &passphrase) { set(m_passphrase, passphrase); }
    void setPeerName(const QString &name) { set(m_peerName, name); }

    // These restore the value of the URL, or otherwise the library's default.
    void resetEnabled() { set(m_enabled, std::nullopt); }
    void resetRequired() { set(m_required, std::nullopt); }
    void resetTrustOnly() { set(m_trustOnly, std::nullopt); }
    void resetTrustAlso() { set(m_trustAlso, std::nullopt); }
    void resetCertificateFile() { set(m_certificateFile, std::nullopt); }
    void resetKeyFile() { set(m_keyFile, std::nullopt); }
    void resetPkcs12File() { set(m_pkcs12File, std::nullopt); }
    void resetPassphrase() { set(m_passphrase, std::nullopt); }
    void resetPeerName() { set(m_peerName, std::nullopt); }

    // Both override what a URL has set.
    void applyTo(Endpoint &endpoint) const;
    void applyTo(ConnectionParameters &parameters) const;

Q_SIGNALS:
    void edited(); // a property was set; the parameters of the connection are to be changed
    void changed();
    void peerCertificateChanged();

private:
    template <typename T>
    void set(std::optional<T> &setting, const std::type_identity_t<std::optional<T>> &value)
    {
        if (std::exchange(setting, value) != value)
            Q_EMIT edited();
    }
    void checkPeerCertificate();

    Connection *const m_connection;
    std::optional<bool> m_enabled;
    std::optional<bool> m_required;
    std::optional<QString> m_trustOnly;
    std::optional<QString> m_trustAlso;
    std::optional<QString> m_certificateFile;
    std::optional<QString> m_keyFile;
    std::optional<QString> m_pkcs12File;
    std::optional<QString> m_passphrase;
    std::optional<QString> m_peerName;
    QmlCertificate m_reportedCertificate;
};

} // namespace AmqpQt
