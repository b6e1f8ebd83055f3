// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtCore/qabstractitemmodel.h>
#include <QtCore/qfile.h>
#include <QtGui/qguiapplication.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

using namespace AmqpQt::Test;

namespace
{

// Publishes to itself without end.
const QByteArray endlessFlow = R"(
    import QtQuick
    import AmqpQt
    QtObject {
        id: root
        property int count: 0
        property string url
        property Connection connection: Connection {
            id: broker
            url: root.url
            active: true
            Queue { id: queue }
            Publisher { id: publisher; routingKey: queue.declaredName; onWritableChanged: publish("first") }
            Consumer {
                id: consumer
                queue: queue
                ackMode: Amqp.AfterDelivery
                onDelivered: message => { ++root.count; publisher.publish(message.text); publisher.publish(message.text) }
            }
        }
        property MessageModel messages: MessageModel { consumer: consumer }
        property LatestValueModel latest: LatestValueModel { consumer: consumer }
        property RateHistory history: RateHistory { consumer: consumer; interval: 1 }
    })";

// The connection is not opened until `active` is set.
const QByteArray publishing = R"(
    import QtQml
    import AmqpQt
    Connection {
        id: broker
        readonly property bool writable: publisher.writable
        readonly property int outstanding: publisher.outstanding
        property int ends: 0
        property var promise
        function publish(body, options) { return publisher.publish(body, options) }
        function promiseTo(body, options) {
            promise = publisher.publishWithReply(body, options)
            promise.then(() => ++broker.ends, () => ++broker.ends)
        }
        Publisher { id: publisher; routingKey: "nowhere"; mandatory: false }
    })";
constexpr auto publisherPlace = "qrc:/publishing.qml:15:9: QML Publisher: "_L1;

// Collects the warnings that are logged from now on.
class Warnings
{
public:
    Warnings()
    {
        texts.clear();
        m_previous = qInstallMessageHandler([](QtMsgType type, const QMessageLogContext &context, const QString &text) {
            if (type == QtDebugMsg || type == QtInfoMsg)
                m_previous(type, context, text);
            else
                texts += text;
        });
    }
    ~Warnings() { qInstallMessageHandler(m_previous); }
    Q_DISABLE_COPY_MOVE(Warnings)

    static inline QStringList texts;

private:
    static inline QtMessageHandler m_previous = nullptr;
};

} // namespace

class tst_Engines : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void engineMayBeDeletedWhileMessagesFlow();
    void elementsMayBeLoadedAgainAndAgain();
    void engineMayBeDeletedWhilePromisesArePending_data();
    void engineMayBeDeletedWhilePromisesArePending();
    void rejectedMessageIsOneWarning_data();
    void rejectedMessageIsOneWarning();
    void rejectedPromiseIsNoWarning();
    void invalidPropertyOfAModelIsOneWarning_data();
    void invalidPropertyOfAModelIsOneWarning();
    void readmeExampleRuns();

private:
    std::unique_ptr<QObject> createFlowing();
    std::unique_ptr<QObject> createPublishing();
    QVariant call(QObject *object, const char *function, const QVariant &body, const QVariantMap &options = {});

    std::unique_ptr<QQmlEngine> m_engine;
};

void tst_Engines::init()
{
    m_engine = std::make_unique<QQmlEngine>();
    m_engine->addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH));
}

std::unique_ptr<QObject> tst_Engines::createFlowing()
{
    QQmlComponent component(m_engine.get());
    component.setData(endlessFlow, QUrl(u"qrc:/system.qml"_s));
    std::unique_ptr<QObject> object(component.createWithInitialProperties({{u"url"_s, brokerUrl().toString()}}));
    if (!object) {
        qWarning() << component.errors();
        return object;
    }
    if (!waitFor([&] { return object->property("count").toInt() > 100; }))
        object.reset();
    return object;
}

void tst_Engines::engineMayBeDeletedWhileMessagesFlow()
{
    const std::unique_ptr<QObject> object = createFlowing();
    QVERIFY(object);
    const QPointer connection(object->property("connection").value<AmqpQt::Connection *>());
    QVERIFY(connection);
    m_engine.reset(); // destroyed before its objects, which still exist in C++
    const quint64 bytes = connection->statistics().bytesIn;
    QVERIFY(waitFor([&] { return connection->statistics().bytesIn > bytes; }));
}

void tst_Engines::elementsMayBeLoadedAgainAndAgain()
{
    for (int i = 0; i < 3; ++i) {
        const std::unique_ptr<QObject> object = createFlowing();
        QVERIFY(object);
        m_engine->clearComponentCache();
    }
}

std::unique_ptr<QObject> tst_Engines::createPublishing()
{
    QQmlComponent component(m_engine.get());
    component.setData(publishing, QUrl(u"qrc:/publishing.qml"_s));
    std::unique_ptr<QObject> object(component.createWithInitialProperties({{u"url"_s, brokerUrl()}}));
    if (!object)
        qWarning() << component.errors();
    return object;
}

QVariant tst_Engines::call(QObject *object, const char *function, const QVariant &body, const QVariantMap &options)
{
    QVariant returned;
    if (!QMetaObject::invokeMethod(object, function, Q_RETURN_ARG(QVariant, returned), Q_ARG(QVariant, body),
                                   Q_ARG(QVariant, QVariant(options))))
        qFatal("there is no %s()", function);
    return returned;
}

void tst_Engines::engineMayBeDeletedWhilePromisesArePending_data()
{
    QTest::addColumn<bool>("isEngineFirst");
    QTest::newRow("the engine first") << true;
    QTest::newRow("the publisher first") << false;
}

void tst_Engines::engineMayBeDeletedWhilePromisesArePending()
{
    QFETCH(const bool, isEngineFirst);
    std::unique_ptr<QObject> object = createPublishing();
    QVERIFY(object);
    for (int i = 0; i < 3; ++i)
        call(object.get(), "promiseTo", u"text"_s);
    QVERIFY(waitFor([&] { return object->property("outstanding").toInt() == 3; }));
    QTest::ignoreMessage(QtWarningMsg, "a publisher was deleted with 3 messages outstanding");
    if (isEngineFirst)
        m_engine.reset();
    object.reset();
    m_engine.reset();
    QCoreApplication::sendPostedEvents();
    QCoreApplication::processEvents();
}

void tst_Engines::rejectedMessageIsOneWarning_data()
{
    QTest::addColumn<bool>("isOpen");
    QTest::addColumn<QVariant>("body");
    QTest::addColumn<QVariantMap>("options");
    for (const bool isOpen : {false, true}) {
        const char *when = isOpen ? "open" : "not open";
        QTest::addRow("body, %s", when) << isOpen << QVariant() << QVariantMap();
        QTest::addRow("option, %s", when) << isOpen << QVariant(u"text"_s) << QVariantMap{{u"routeKey"_s, u"a"_s}};
        QTest::addRow("routing key, %s", when)
            << isOpen << QVariant(u"text"_s) << QVariantMap{{u"routingKey"_s, QString(256, u'x')}};
        QTest::addRow("priority, %s", when) << isOpen << QVariant(u"text"_s) << QVariantMap{{u"priority"_s, 256}};
        QTest::addRow("timestamp, %s", when)
            << isOpen << QVariant(u"text"_s) << QVariantMap{{u"timestamp"_s, QDateTime::fromMSecsSinceEpoch(-1)}};
    }
    QTest::addRow("outbox, not open") << false << QVariant(QString(20'000'000, u'x')) << QVariantMap();
}

void tst_Engines::rejectedMessageIsOneWarning()
{
    QFETCH(const bool, isOpen);
    QFETCH(const QVariant, body);
    QFETCH(const QVariantMap, options);
    const std::unique_ptr<QObject> object = createPublishing();
    QVERIFY(object);
    QVERIFY(object->setProperty("active", isOpen));
    QVERIFY(waitFor([&] { return object->property("writable").toBool() == isOpen; }));
    const Warnings warnings;
    QCOMPARE(call(object.get(), "publish", body, options).toInt(), 0);
    QCoreApplication::processEvents();
    QCOMPARE(warnings.texts.size(), 1);
    QVERIFY2(warnings.texts.constFirst().startsWith(publisherPlace), qPrintable(warnings.texts.constFirst()));
}

void tst_Engines::rejectedPromiseIsNoWarning()
{
    const std::unique_ptr<QObject> object = createPublishing();
    QVERIFY(object);
    const Warnings warnings;
    call(object.get(), "promiseTo", u"text"_s, {{u"routingKey"_s, QString(256, u'x')}});
    QVERIFY(waitFor([&] { return object->property("ends").toInt() == 1; }));
    QCOMPARE(warnings.texts, QStringList());
}

void tst_Engines::invalidPropertyOfAModelIsOneWarning_data()
{
    QTest::addColumn<QByteArray>("property");
    QTest::addColumn<QString>("warning");
    QTest::newRow("columns") << QByteArray("columns: ['text', 'nonsense']") << u"columns: \"nonsense\" "_s;
    QTest::newRow("maximumCount") << QByteArray("maximumCount: -1") << u"maximumCount: -1 "_s;
    QTest::newRow("updateInterval") << QByteArray("updateInterval: -1") << u"updateInterval: -1 "_s;
}

void tst_Engines::invalidPropertyOfAModelIsOneWarning()
{
    QFETCH(const QByteArray, property);
    QFETCH(const QString, warning);
    QQmlComponent component(m_engine.get());
    component.setData("import AmqpQt\nMessageModel { " + property + " }", QUrl(u"qrc:/model.qml"_s));
    const Warnings warnings;
    const std::unique_ptr<QObject> model(component.create());
    QVERIFY2(model, qPrintable(component.errorString()));
    QCOMPARE(warnings.texts.size(), 1);
    const QString begin = u"qrc:/model.qml:2:1: QML MessageModel: "_s + warning;
    QVERIFY2(warnings.texts.constFirst().startsWith(begin), qPrintable(warnings.texts.constFirst()));
}

void tst_Engines::readmeExampleRuns()
{
    QFile readme(QStringLiteral(AMQPQT_SOURCE_DIR "/README.md"));
    QVERIFY(readme.open(QIODevice::ReadOnly));
    const QByteArray text = readme.readAll();
    const qsizetype begin = text.indexOf("\n```qml\n") + 8;
    QQmlComponent component(m_engine.get());
    component.setData(text.mid(begin, text.indexOf("\n```\n", begin) - begin), QUrl(u"qrc:/readme.qml"_s));
    const std::unique_ptr<QObject> window(component.create());
    QVERIFY2(window, qPrintable(component.errorString()));

    QObject *connection = nullptr;
    for (QObject *child : window->findChildren<QObject *>()) {
        if (qobject_cast<AmqpQt::Connection *>(child))
            connection = child;
    }
    QVERIFY(connection);
    QVERIFY(connection->setProperty("url", brokerUrl())); // instead of the local one
    const auto *model = window->findChild<QAbstractItemModel *>();
    QVERIFY(model);
    BrokerClient publisher;
    QTimer timer;
    connect(&timer, &QTimer::timeout, this,
            [&] { publisher.channel->publish(u"amq.topic"_s, u"sensor.1"_s, AmqpQt::Message::fromText(u"seen")); });
    timer.start(20);
    QVERIFY(waitFor([&] { return model->rowCount() > 0; }));
    QCOMPARE(model->index(0, 0).data().toString(), u"seen"_s);
}

QTEST_MAIN(tst_Engines)
#include "tst_engines.moc"
