// SPDX-License-Identifier: MIT
#include "support/brokerfixture.h"
#include "support/certificates.h"
#include "support/delayproxy.h"
#include "support/faultproxy.h"
#include "support/framecounter.h"
#include "support/memoryalarm.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Message>

#include <QtCore/qcoreapplication.h>
#include <QtQml/qqmlcontext.h>
#include <QtQml/qqmlengine.h>
#include <QtQuickTest/quicktest.h>

#include <limits>
#include <map>
#include <memory>

using namespace Qt::StringLiterals;

// Functions for the tests in tst_*.qml, available as `test`.
class Setup : public QObject
{
    Q_OBJECT
    Q_PROPERTY(QString url READ url CONSTANT)
    Q_PROPERTY(QString host READ host CONSTANT)
    Q_PROPERTY(int port READ port CONSTANT)
    Q_PROPERTY(QString tlsUrl READ tlsUrl CONSTANT)
    Q_PROPERTY(QString passphrase READ passphrase CONSTANT)
public:
    QString url() const { return brokerUrl().toString(); }
    QString host() const { return brokerUrl().host(); }
    int port() const { return brokerUrl().port(5672); }
    QString tlsUrl() const { return brokerTlsUrl().toString(); }
    QString passphrase() const { return QString::fromUtf8(certificatePassphrase()); } // of the encrypted files
    Q_INVOKABLE QString certificate(const QString &fileName) const { return certificateFile(fileName); }

    Q_INVOKABLE QString uniqueName(const QString &prefix) const { return ::uniqueName(prefix); }
    // Returns the URL of a proxy that delays the bytes in each direction by `milliseconds`.
    Q_INVOKABLE QString delayedUrl(int milliseconds)
    {
        std::unique_ptr<DelayProxy> &proxy = m_proxies[milliseconds];
        if (!proxy)
            proxy = std::make_unique<DelayProxy>(brokerUrl(), std::chrono::milliseconds(milliseconds));
        return proxy->url().toString();
    }
    // QML's destroy() waits for the event loop; an application's C++ may not.
    Q_INVOKABLE void deleteNow(QObject *object) const { delete object; }
    // While the alarm is set, the broker blocks publishing connections.
    Q_INVOKABLE bool setMemoryAlarm(bool on)
    {
        m_memoryAlarm.reset();
        if (on)
            m_memoryAlarm = std::make_unique<AmqpQt::Test::MemoryAlarm>();
        return !on || m_memoryAlarm->isRaised();
    }
    // Returns the type that a header had on the wire, derived from its decoded value. The path is as in "a.0.b".
    Q_INVOKABLE QString headerType(const AmqpQt::Message &message, const QString &path) const
    {
        return typeAt(message.headers(), path);
    }
    // Returns the type of a value in a table that was set on an element.
    Q_INVOKABLE QString memberType(const QObject *element, const QString &property, const QString &path) const
    {
        return typeAt(element->property(property.toUtf8().constData()), path);
    }
    // Publishes values that JavaScript cannot represent: headers with integers over 2^53, a decimal and empty
    // bytes, and a JSON body with such an integer.
    Q_INVOKABLE void publishLargeNumbers(AmqpQt::Connection *connection, const QString &queue) const
    {
        AmqpQt::Message message("{\"id\":9007199254740993,\"ids\":[-9007199254740993]}", u"application/json"_s);
        message.setHeaders({{u"large"_s, 9007199254740993LL},
                            {u"low"_s, -9007199254740993LL},
                            {u"largest"_s, std::numeric_limits<qint64>::max()},
                            {u"exact"_s, 9007199254740992LL},
                            {u"list"_s, QVariantList{9007199254740993LL, 1}},
                            {u"price"_s, QVariant::fromValue(AmqpQt::Decimal{2, 1230})},
                            {u"bytes"_s, QByteArray()}});
        connection->createChannel()->publish({}, queue, message);
    }
    // Returns the URL of a proxy whose connections cut() and setReachable() end.
    Q_INVOKABLE QString unreliableUrl()
    {
        if (!m_faults)
            m_faults = std::make_unique<FaultProxy>(quint16(port()));
        QUrl url = brokerUrl();
        url.setHost(m_faults->serverAddress().toString());
        url.setPort(m_faults->serverPort());
        return url.toString();
    }
    Q_INVOKABLE int unreliableCount() const { return m_faults->openCount(); }
    Q_INVOKABLE void cut() { m_faults->strike({.kind = NetworkFault::Kind::Reset}); }
    Q_INVOKABLE bool setReachable(bool reachable)
    {
        if (reachable)
            return !m_faults || m_faults->isListening() || m_faults->listen(QHostAddress::LocalHost, m_unreachablePort);
        m_unreachablePort = m_faults->serverPort();
        m_faults->close();
        cut();
        return true;
    }
    // Counts a method that the broker sends from now on, such as "connection.update-secret-ok".
    Q_INVOKABLE void countReceived(const QString &method) { count("received", method); }
    Q_INVOKABLE void countSent(const QString &method) { count("sent", method); }
    Q_INVOKABLE int endOfCount()
    {
        const int count = m_frames->count();
        m_frames.reset();
        return count;
    }
    Q_INVOKABLE int channelCount(AmqpQt::Connection *connection) const { return int(connection->channels().size()); }

private:
    void count(const QByteArray &direction, const QString &method)
    {
        m_frames.reset(); // before the next one
        m_frames = std::make_unique<FrameCounter>(direction, method.toLatin1());
    }
    static QString typeAt(QVariant value, const QString &path)
    {
        const QStringList keys = path.split(u'.');
        for (const QString &key : keys) {
            const bool isList = value.typeId() == QMetaType::QVariantList;
            value = isList ? value.toList().value(key.toInt()) : value.toMap().value(key);
        }
        return QString::fromLatin1(value.typeName());
    }

public Q_SLOTS:
    void qmlEngineAvailable(QQmlEngine *engine)
    {
        engine->addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH));
        engine->addImportPath(u"qrc:/"_s); // modules linked to this program
        engine->rootContext()->setContextProperty(u"test"_s, this);
    }
    void cleanupTestCase() // while there is an event loop
    {
        m_proxies.clear();
        m_faults.reset();
    }

private:
    std::map<int, std::unique_ptr<DelayProxy>> m_proxies;
    std::unique_ptr<FaultProxy> m_faults;
    quint16 m_unreachablePort = 0; // of the proxy, to listen again
    std::unique_ptr<FrameCounter> m_frames;
    std::unique_ptr<AmqpQt::Test::MemoryAlarm> m_memoryAlarm;
};

QUICK_TEST_MAIN_WITH_SETUP(qml, Setup)
#include "quicktest.moc"
