// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"
#include "support/certificates.h"

#include <QtCore/qdiriterator.h>
#include <QtCore/qfile.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qregularexpression.h>
#include <QtGui/qguiapplication.h>
#include <QtQml/qjsvalue.h>
#include <QtQml/qqmlcomponent.h>
#include <QtQml/qqmlengine.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// compiled/Everything.qml as qmlcachegen compiles it. With QML_DISABLE_DISK_CACHE=1 the same file is interpreted.
class tst_Compiled : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup() { m_root.reset(); }
    void bindingsAreCompiled();
    void everyTypeIsRead();
    void everyPropertyIsRead();
    void enumsAreComparedByName();
    void enumsAreArguments();
    void enumsHaveTheTypeInt();
    void propertiesHaveTypesOfQml();

private:
    QVariantMap elements() const;
    QVariantMap values() const;
    void open();
    QString wrongProperty() const;

    std::unique_ptr<QQmlEngine> m_engine;
    std::unique_ptr<QObject> m_root;
};

namespace
{

QString contents(const QString &path)
{
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        qFatal("cannot read %s", qPrintable(path));
    return QString::fromUtf8(file.readAll());
}

// Returns the headers that contain macros of properties and enums.
QStringList headers()
{
    QStringList paths;
    for (const QString &folder : {u"/include/AmqpQt"_s, u"/qml"_s}) {
        for (QDirIterator files(QStringLiteral(AMQPQT_SOURCE_DIR) + folder, {u"*.h"_s}, QDir::Files,
                                QDirIterator::Subdirectories);
             files.hasNext();)
            paths += files.next();
    }
    return paths;
}

QString withLowerFirst(QString name)
{
    name[0] = name[0].toLower();
    return name;
}

// Returns an enum as its number, an object as a plain QObject, and a JavaScript value as a C++ value.
QVariant plain(QVariant value)
{
    if (value.metaType() == QMetaType::fromType<QJSValue>())
        value = value.value<QJSValue>().toVariant();
    if (value.metaType().flags() & QMetaType::IsEnumeration)
        return value.toInt();
    if (value.metaType().flags() & QMetaType::PointerToQObject)
        return QVariant::fromValue(value.value<QObject *>());
    return value;
}

// Returns the properties of a class of the module, including those inherited from other classes of the library.
QList<QMetaProperty> properties(const QMetaObject *type)
{
    const auto isOwn = [](const QMetaObject *one) {
        const auto name = QByteArrayView(one->className());
        return name.startsWith("AmqpQt::") || name.startsWith("StateBadge_");
    };
    while (type && !isOwn(type))
        type = type->superClass();
    QList<QMetaProperty> list;
    for (; type && isOwn(type); type = type->superClass()) {
        for (int i = type->propertyOffset(); i < type->propertyCount(); ++i)
            list += type->property(i);
    }
    return list;
}

} // namespace

void tst_Compiled::init()
{
    m_engine = std::make_unique<QQmlEngine>();
    m_engine->addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH));
    QQmlComponent component(m_engine.get(), QUrl(u"qrc:/Compiled/Everything.qml"_s));
    m_root.reset(component.createWithInitialProperties({{u"brokerUrl"_s, brokerTlsUrl().adjusted(QUrl::RemoveUserInfo)},
                                                        {u"authorities"_s, certificateFile(u"ca.pem"_s)},
                                                        {u"readings"_s, uniqueName(u"compiled"_s)}}));
    QVERIFY2(m_root, qPrintable(component.errorString()));
    m_root->setProperty("theAmqpDecimal", QVariant::fromValue(Decimal{2, 1230}));
}

QVariantMap tst_Compiled::elements() const
{
    return plain(m_root->property("elements")).toMap();
}

QVariantMap tst_Compiled::values() const
{
    QVariantMap values;
    for (const QString &name : {u"amqpMessage"_s, u"amqpError"_s, u"amqpQueueInfo"_s, u"amqpRecoveryReport"_s,
                                u"amqpDecimal"_s, u"amqpCertificate"_s})
        values.insert(name, m_root->property((u"theA"_s + name.mid(1)).toUtf8().constData()));
    return values;
}

// The connection is open and a message has arrived.
void tst_Compiled::open()
{
    QVERIFY(m_root->property("theConnection").value<QObject *>()->setProperty("active", true));
    QVERIFY(waitFor([&] { return m_root->property("publisher_writable").toBool(); }));
    QVERIFY(waitFor([&] { return m_root->property("consumer_subscribed").toBool(); }));
    QVERIFY(QMetaObject::invokeMethod(m_root.get(), "publish", Q_ARG(QString, u"text"_s)));
    QVERIFY(waitFor([&] { return m_root->property("amqpMessage_text") == u"text"_s; }));
    QVERIFY(waitFor([&] { return m_root->property("messageModel_count") == 1; }));
}

void tst_Compiled::bindingsAreCompiled()
{
    // qmlcachegen leaves expressions that it cannot compile to the interpreter.
    const QString generated = contents(QStringLiteral(AMQPQT_COMPILED_CPP));
    const QString source = contents(QStringLiteral(AMQPQT_SOURCE_DIR "/tests/qml/compiled/Everything.qml"));
    const qsizetype compiled = generated.count(QRegularExpression( // the second form is that of newer Qt
        u"\\[\\]\\(const QQmlPrivate::AOTCompiledContext \\*aotContext, void (\\*dataPtr|\\*\\*argv)"_s));
    const qsizetype simple =
        source.count(QRegularExpression(u"\\n    readonly property (bool|int|real|string|amqpError) \\w+: "_s));
    QVERIFY(simple > 100);
    QVERIFY2(compiled >= simple, qPrintable(u"%1 of %2"_s.arg(compiled).arg(simple)));
}

void tst_Compiled::everyTypeIsRead()
{
    const QString types = contents(QStringLiteral(AMQPQT_QML_IMPORT_PATH "/AmqpQt/amqpqtplugin.qmltypes")) +
                          contents(QStringLiteral(AMQPQT_QML_IMPORT_PATH "/AmqpQt/qmldir"));
    QStringList names;
    for (const auto &match :
         QRegularExpression(u"exports: \\[\"AmqpQt/(\\w+) |\\n(\\w+) [\\d.]+ \\w+\\.qml"_s).globalMatch(types))
        names += match.captured(1) + match.captured(2);
    QVERIFY(names.size() > 10);
    names.removeOne(u"Amqp"_s); // the namespace
    for (const QString &name : std::as_const(names))
        QVERIFY2(elements().contains(name) || values().contains(name), qPrintable(name));
}

// The properties that Everything.qml does not read, or reads differently from C++.
QString tst_Compiled::wrongProperty() const
{
    const auto compare = [this](const QString &type, const QMetaProperty &property, const QVariant &value) {
        const QString name = withLowerFirst(type) + u'_' + QLatin1StringView(property.name());
        if (m_root->metaObject()->indexOfProperty(name.toUtf8().constData()) < 0)
            return name + u" is missing"_s;
        if (QByteArrayView(property.typeName()).startsWith("QQmlListProperty"))
            return QString();
        const QVariant read = plain(m_root->property(name.toUtf8().constData()));
        const QVariant expected = plain(value);
        if (read == expected || (read.toString() == expected.toString() && !read.toString().isEmpty()) ||
            (property.metaType().id() == QMetaType::QDateTime && read.toDateTime() == expected.toDateTime()))
            return QString();
        QString text;
        QDebug(&text) << name << read << "instead of" << expected;
        return text;
    };
    const QVariantMap objects = elements();
    for (auto object = objects.begin(); object != objects.end(); ++object) {
        const auto *element = object->value<QObject *>();
        if (!element)
            return object.key() + u" is no object"_s;
        for (const QMetaProperty &property : properties(element->metaObject())) {
            if (const QString wrong = compare(object.key(), property, property.read(element)); !wrong.isEmpty())
                return wrong;
        }
    }
    const QVariantMap gadgets = values();
    for (auto gadget = gadgets.begin(); gadget != gadgets.end(); ++gadget) {
        const QMetaObject *type = gadget->metaType().metaObject();
        if (!type)
            return gadget.key() + u" is no value"_s;
        for (const QMetaProperty &property : properties(type)) {
            if (const QString wrong = compare(gadget.key(), property, property.readOnGadget(gadget->constData()));
                !wrong.isEmpty())
                return wrong;
        }
    }
    return {};
}

void tst_Compiled::everyPropertyIsRead()
{
    QCOMPARE(wrongProperty(), QString());
    open();
    QVERIFY(waitFor([&] { return wrongProperty().isEmpty(); }, 10s) || (qWarning() << wrongProperty(), false));
    QCOMPARE(m_root->property("connection_state").toInt(), int(Connection::State::Open));
    QCOMPARE(m_root->property("consumer_ackMode").toInt(), int(AckMode::AfterDelivery));
    QCOMPARE(m_root->property("queue_messageTtl").toDouble(), 3e9);
    QCOMPARE(m_root->property("largeHeader").toDouble(), 2592e6);
    QCOMPARE(m_root->property("connectionTls_enabled").toBool(), true);
    QCOMPARE(m_root->property("connectionRecovery_calmAfter").toInt(), 4000);
    QCOMPARE(m_root->property("connectionTls_trustOnly").toString(), certificateFile(u"ca.pem"_s));
    QCOMPARE(m_root->property("amqpCertificate_commonName").toString(), u"localhost"_s);
    QCOMPARE(m_root->property("amqpCertificate_expiryDate").toDateTime(), readCertificate(u"server"_s).expiryDate());
    QCOMPARE(plain(m_root->property("amqpMessage_headers")).toMap().value(u"large"_s).toDouble(), 2592e6);
}

void tst_Compiled::enumsAreComparedByName()
{
    QCOMPARE(m_root->property("isClosed").toBool(), true);
    QCOMPARE(m_root->property("isOpen").toBool(), false);
    QCOMPARE(m_root->property("stateName").toString(), u"closed"_s);
    QCOMPARE(m_root->property("isNoError").toBool(), true);
    QCOMPARE(m_root->property("isAfterDelivery").toBool(), true);
    open();
    QCOMPARE(m_root->property("isClosed").toBool(), false);
    QCOMPARE(m_root->property("isOpen").toBool(), true);
    QCOMPARE(m_root->property("stateName").toString(), u"open"_s);
    QCOMPARE(m_root->property("isFirstConnect").toBool(), true); // since the URL has no credentials
}

void tst_Compiled::enumsAreArguments()
{
    const auto *consumer = elements().value(u"Consumer"_s).value<QObject *>();
    QVERIFY(QMetaObject::invokeMethod(m_root.get(), "setManual"));
    QCOMPARE(m_root->property("isAfterDelivery").toBool(), false);
    QCOMPARE(consumer->property("ackMode").toInt(), int(AckMode::Manual));
    open();
    QCOMPARE(m_root->property("amqpMessage_redelivered").toBool(), false);
    QVERIFY(QMetaObject::invokeMethod(m_root.get(), "giveBack"));
    QVERIFY(waitFor([&] { return m_root->property("amqpMessage_redelivered").toBool(); }));
    QVERIFY(QMetaObject::invokeMethod(m_root.get(), "drop"));
    QVERIFY(waitFor([&] { return m_root->property("consumer_unackedCount").toInt() == 0; }));
}

// Compiled code reads a property of a smaller enum type as an int, together with the adjacent bytes.
void tst_Compiled::enumsHaveTheTypeInt()
{
    int count = 0;
    const QRegularExpression withType(u"\\benum(?: class)? \\w+ : ([\\w:]+)"_s);
    for (const QString &path : headers()) {
        for (const auto &match : withType.globalMatch(contents(path))) {
            ++count;
            QVERIFY2(match.captured(1) == u"int"_s, qPrintable(path + u": "_s + match.captured()));
        }
    }
    QVERIFY(count > 10);
    for (const QMetaObject *type : {&Connection::staticMetaObject, &Channel::staticMetaObject,
                                    &Consumer::staticMetaObject, &AmqpQt::staticMetaObject}) {
        for (int i = type->enumeratorOffset(); i < type->enumeratorCount(); ++i) {
            const QByteArray name = QByteArray(type->enumerator(i).scope()) + "::" + type->enumerator(i).name();
            const QMetaType enumType = QMetaType::fromName(name);
            QVERIFY2(!enumType.isValid() || enumType.sizeOf() == sizeof(int), name.constData());
        }
    }
}

// JavaScript has no other integers, and Qt's tools warn about such values.
void tst_Compiled::propertiesHaveTypesOfQml()
{
    int count = 0;
    const QRegularExpression property(u"Q_PROPERTY\\(([\\w:]+) "_s);
    const QRegularExpression foreign(u"^(q?u?int\\d+|q?u?(char|short|long|longlong)|uint|qsizetype|size_t|float)$"_s);
    for (const QString &path : headers()) {
        for (const auto &match : property.globalMatch(contents(path))) {
            ++count;
            QVERIFY2(!foreign.match(match.captured(1)).hasMatch(), qPrintable(path + u": "_s + match.captured()));
        }
    }
    QVERIFY(count > 100);
}

QTEST_MAIN(tst_Compiled)
#include "tst_compiled.moc"
