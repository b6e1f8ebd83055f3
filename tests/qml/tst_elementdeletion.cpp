// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtCore/qregularexpression.h>
#include <QtGui/qguiapplication.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

using namespace AmqpQt::Test;

namespace
{

const QByteArray elements = R"(
    import QtQml
    import AmqpQt
    Connection {
        property alias queue: queue
        property alias consumer: consumer
        property alias publisher: publisher
        Queue { id: queue; exclusive: true; durable: false }
        Consumer {
            id: consumer
            queue: queue
            ackMode: Amqp.AfterDelivery
            onDelivered: message => { throw new Error(message.text) }
        }
        Publisher { id: publisher }
    })";

} // namespace

// Slots that delete the element which has emitted the signal, or its connection.
class tst_ElementDeletion : public QObject
{
    Q_OBJECT

public Q_SLOTS:
    void deleteTarget() { delete m_target; }

private Q_SLOTS:
    void init();
    void elementThatGetsAConnection();
    void elementThatLosesItsConnection_data();
    void elementThatLosesItsConnection();
    void connectionThatIsActivated_data();
    void connectionThatIsActivated();
    void connectionWhoseCallsFailAtItsEnd();
    void consumerWhoseHandlerThrows();
    void publisherWhoseConnectionOpens();
    void declarationsContinueWhenAChannelNumberIsFree();

private:
    std::unique_ptr<QObject> create(const QByteArray &source, const QUrl &url = brokerUrl());
    std::unique_ptr<QObject> createDeclared();
    static QObject *element(const std::unique_ptr<QObject> &connection, const char *name)
    {
        return connection->property(name).value<QObject *>();
    }
    void deleteWhen(QObject *sender, const char *signal, QObject *target)
    {
        m_target = target;
        connect(sender, signal, this, SLOT(deleteTarget()));
    }

    std::unique_ptr<QQmlEngine> m_engine;
    QPointer<QObject> m_target;
};

void tst_ElementDeletion::init()
{
    m_engine = std::make_unique<QQmlEngine>();
    m_engine->addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH));
}

std::unique_ptr<QObject> tst_ElementDeletion::create(const QByteArray &source, const QUrl &url)
{
    QQmlComponent component(m_engine.get());
    component.setData(source, QUrl(u"qrc:/elements.qml"_s));
    std::unique_ptr<QObject> object(component.create());
    if (!object)
        qWarning() << component.errors();
    else
        object->setProperty("url", url);
    return object;
}

std::unique_ptr<QObject> tst_ElementDeletion::createDeclared()
{
    std::unique_ptr<QObject> connection = create(elements);
    if (!connection)
        return connection;
    connection->setProperty("active", true);
    const QObject *queue = element(connection, "queue");
    if (!waitFor([&] { return !queue->property("declaredName").toString().isEmpty(); }))
        connection.reset();
    return connection;
}

void tst_ElementDeletion::elementThatGetsAConnection()
{
    const std::unique_ptr<QObject> connection = create(elements);
    QVERIFY(connection);
    QObject *queue = create("import AmqpQt\nQueue { connection: null }").release();
    QVERIFY(queue);
    QVERIFY(!queue->property("errorString").toString().isEmpty());
    deleteWhen(queue, SIGNAL(errorStringChanged()), queue);
    queue->setProperty("connection", QVariant::fromValue(connection.get()));
    QVERIFY(!m_target);
}

void tst_ElementDeletion::elementThatLosesItsConnection_data()
{
    QTest::addColumn<bool>("isDestroyed");
    QTest::newRow("another connection") << false;
    QTest::newRow("destroyed connection") << true;
}

void tst_ElementDeletion::elementThatLosesItsConnection()
{
    QFETCH(const bool, isDestroyed);
    std::unique_ptr<QObject> connection = createDeclared();
    QVERIFY(connection);
    QObject *queue = element(connection, "queue");
    deleteWhen(queue, SIGNAL(declaredNameChanged()), queue);
    const QMetaProperty property = queue->metaObject()->property(queue->metaObject()->indexOfProperty("connection"));
    if (isDestroyed)
        connection.reset();
    else
        QVERIFY(property.write(queue, QVariant(property.metaType()))); // null
    QVERIFY(!m_target);
}

void tst_ElementDeletion::connectionThatIsActivated_data()
{
    QTest::addColumn<QByteArray>("function");
    QTest::newRow("open") << QByteArray("open");
    QTest::newRow("reconnect") << QByteArray("reconnect");
}

void tst_ElementDeletion::connectionThatIsActivated()
{
    QFETCH(const QByteArray, function);
    QObject *connection = create(elements).release();
    QVERIFY(connection);
    deleteWhen(connection, SIGNAL(activeChanged()), connection);
    QVERIFY(QMetaObject::invokeMethod(connection, function.constData()));
    QVERIFY(!m_target);
}

void tst_ElementDeletion::connectionWhoseCallsFailAtItsEnd()
{
    QObject *connection = createDeclared().release();
    QVERIFY(connection);
    QObject *queue = connection->property("queue").value<QObject *>();
    deleteWhen(queue, SIGNAL(errorStringChanged()), connection);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"The connection was closed"_s));
    QVERIFY(QMetaObject::invokeMethod(queue, "purge"));
    QVERIFY(QMetaObject::invokeMethod(connection, "close"));
    QVERIFY(waitFor([&] { return !m_target; }));
}

void tst_ElementDeletion::consumerWhoseHandlerThrows()
{
    const std::unique_ptr<QObject> connection = createDeclared();
    QVERIFY(connection);
    QObject *consumer = element(connection, "consumer");
    QVERIFY(waitFor([&] { return consumer->property("subscribed").toBool(); }));
    deleteWhen(consumer, SIGNAL(errorStringChanged()), consumer);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"Error: broken"_s));
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"A handler threw an exception"_s));
    AmqpQt::Channel *channel = qobject_cast<AmqpQt::Connection *>(connection.get())->createChannel();
    const QString queue = element(connection, "queue")->property("declaredName").toString();
    for (int i = 0; i < 3; ++i)
        QVERIFY(channel->publish({}, queue, AmqpQt::Message::fromText(u"broken"_s)));
    QVERIFY(waitFor([&] { return !m_target; }));
}

void tst_ElementDeletion::publisherWhoseConnectionOpens()
{
    const std::unique_ptr<QObject> connection = create(elements);
    QVERIFY(connection);
    QObject *publisher = element(connection, "publisher");
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"QML Publisher: "_s));
    QVERIFY(QMetaObject::invokeMethod(publisher, "publish", Q_ARG(QJSValue, QJSValue()), Q_ARG(QJSValue, QJSValue())));
    QVERIFY(!publisher->property("errorString").toString().isEmpty());
    deleteWhen(publisher, SIGNAL(errorStringChanged()), publisher);
    connection->setProperty("active", true);
    QVERIFY(waitFor([&] { return !m_target; }));
}

void tst_ElementDeletion::declarationsContinueWhenAChannelNumberIsFree()
{
    QUrl url = brokerUrl();
    url.setQuery(u"channel_max=1"_s);
    const std::unique_ptr<QObject> connection = create("import AmqpQt\nConnection { property alias queue: queue; Queue "
                                                       "{ id: queue; durable: false; exclusive: true } }",
                                                       url);
    QVERIFY(connection);
    std::unique_ptr<AmqpQt::Channel> only(qobject_cast<AmqpQt::Connection *>(connection.get())->createChannel());
    connection->setProperty("active", true);
    QObject *queue = element(connection, "queue");
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"QML Queue: "_s));
    QVERIFY(waitFor([&] { return !queue->property("errorString").toString().isEmpty(); }));
    const AmqpQt::Reply<void> closed = only->close();
    QVERIFY(waitFor([&] { return closed.isFinished(); }));
    only.reset();                           // its number is free
    queue->setProperty("autoDelete", true); // declares it again
    QVERIFY(waitFor([&] { return !queue->property("declaredName").toString().isEmpty(); }));
}

QTEST_MAIN(tst_ElementDeletion)
#include "tst_elementdeletion.moc"
